{{ latest_versions('order_lines') }}
