{{ latest_versions('staff') }}
