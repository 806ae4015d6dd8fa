{{ config(severity='warn', meta={"dagster": {"ref": {"name": "revenue_daily"}}}) }}
-- Every amount could be converted into the retailer's currency. What could not is in no figure of the
-- marts: give exchange_rates a rate from its currency for a day on or before the first listed.
select
    daily.currency,
    min(daily.revenue_date) as revenue_date,
    sum(daily.unconverted_orders) as unconverted_orders,
    sum(daily.unconverted_refunds) as unconverted_refunds
from {{ ref('revenue_daily') }} as daily
where daily.unconverted_orders + daily.unconverted_refunds > 0
group by daily.currency
