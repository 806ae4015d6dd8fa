{{ latest_versions('consents') }}
