{{ latest_versions('coupons') }}
