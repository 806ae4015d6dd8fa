{{ latest_versions('feedback') }}
