{{ latest_versions('members') }}
