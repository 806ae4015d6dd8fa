{{ latest_versions('points') }}
