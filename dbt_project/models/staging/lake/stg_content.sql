{{ latest_versions('content') }}
