{{ latest_versions('assignments') }}
