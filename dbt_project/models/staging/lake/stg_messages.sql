{{ latest_versions('messages') }}
