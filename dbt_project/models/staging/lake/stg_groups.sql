{{ latest_versions('groups') }}
