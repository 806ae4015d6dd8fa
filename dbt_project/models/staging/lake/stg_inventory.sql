{{ latest_versions('inventory') }}
