{{ latest_versions('exchange_rates') }}
