{{ latest_versions('campaigns') }}
