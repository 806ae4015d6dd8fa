-- Every order as it was known at the end of each feature date of the run. Holds the dates of the last
-- run only: it is the groundwork of customer_features, not a table to query over time.
select
    dates.as_of_date,
    dates.as_of,
    version.order_id,
    coalesce(stay.customer_id, version.customer_id) as customer_id,
    -- Paid for later than the date is not yet paid for: history loads know the end of the story.
    (version.is_counted and (version.paid_at is null or version.paid_at < dates.as_of)) as is_counted,
    version.ordered_date,
    {{ days_between('version.ordered_date', 'dates.as_of_date') }} as age_days,
    version.channel,
    version.store_id,
    version.gross_amount,
    version.discount_amount,
    version.net_amount
from {{ ref('order_version') }} as version
{{- join_feature_dates('version', 'version.identifier') }}
