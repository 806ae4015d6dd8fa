SELECT
    from_currency,
    to_currency,
    rate_date,
    rate,
    _file,
    _row
FROM finance_exchange_rates
