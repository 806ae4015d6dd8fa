{{ latest_versions('experiments') }}
