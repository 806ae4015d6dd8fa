{{ latest_versions('channel_spend') }}
