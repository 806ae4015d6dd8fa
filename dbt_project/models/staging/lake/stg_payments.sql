{{ latest_versions('payments') }}
