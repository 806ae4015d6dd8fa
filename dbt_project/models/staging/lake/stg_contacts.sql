{{ latest_versions('contacts') }}
