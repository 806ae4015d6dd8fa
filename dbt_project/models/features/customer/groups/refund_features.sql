{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Refunds of each customer as known at each date, by the day the money went back. A refund belongs to
-- the customer of its order; one of no known order, to the member it names.
with refunds as (
    select
        dates.as_of_date,
        coalesce(orders.customer_id, stay.customer_id, by_member_id.customer_id) as customer_id,
        version.amount,
        {{ days_between('coalesce(version.refunded_date, version.requested_date)', 'dates.as_of_date') }}
            as age_days
    from {{ ref('stg_refund_versions') }} as version
    {{- join_feature_dates('version', 'version.member_id') }}
    left join {{ ref('order_as_of') }} as orders
        on version.order_id = orders.order_id and dates.as_of_date = orders.as_of_date
    {{- join_customers('version', ['member_id']) }}
    where
        version.status = 'completed'
        and coalesce(version.refunded_at, version.requested_at) < dates.as_of
        and coalesce(orders.is_counted, true)
)

select
    refunds.as_of_date,
    refunds.customer_id,
    sum(refunds.amount) as refunded,
    {%- for days in [30, 90, 365] %}
    {{ sum_younger('refunds.amount', 'refunds.age_days', days) }} as refunded_{{ days }}d,
    {%- endfor %}
    {{ count_younger('refunds.age_days', 365) }} as refunds_365d
from refunds
where refunds.customer_id is not null
group by refunds.as_of_date, refunds.customer_id
