-- Every order as it was known at the end of each feature date of the run, on the customer that its
-- identifiers belong to now. Holds the dates of the last run only: it is the groundwork of
-- customer_features, not a table to query over time.
{%- set identifiers = ['member_id', 'buyer_id', 'unionid', 'openid', 'phone_token'] %}
with versions as (
    select
        version.*,
        {{ joined_customer(identifiers) }} as customer_id
    from {{ ref('stg_order_versions') }} as version
    {{- join_customers('version', identifiers) }}
)

select
    dates.as_of_date,
    versions.order_id,
    versions.customer_id,
    -- Paid for later than the date is not yet paid for: history loads know the end of the story.
    (
        versions.status in ('paid', 'shipped', 'completed')
        and (versions.paid_at is null or versions.paid_at < dates.as_of)
    ) as is_counted,
    versions.ordered_date,
    {{ days_between('versions.ordered_date', 'dates.as_of_date') }} as age_days,
    versions.channel,
    versions.store_id,
    versions.gross_amount,
    versions.discount_amount,
    versions.net_amount
from versions
cross join ({{ feature_dates() }}) as dates
where {{ counted_at('dates.as_of', 'versions') }}
