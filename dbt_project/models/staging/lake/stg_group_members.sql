{{ latest_versions('group_members') }}
