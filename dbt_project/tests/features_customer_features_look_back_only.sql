-- Nothing of a date lies after it, and a longer window never holds less than a shorter one.
select
    features.customer_id,
    features.as_of_date
from {{ ref('customer_features') }} as features
where
    features.recency_days < 0
    or features.tenure_days < features.recency_days
    or features.order_count < 1
    or features.orders_30d > features.orders_60d
    or features.orders_60d > features.orders_90d
    or features.orders_90d > features.orders_180d
    or features.orders_180d > features.orders_365d
    or features.orders_365d > features.order_count
    or features.days_since_registration < 0
    or features.days_since_last_event < 0
    or features.events_7d > features.events_30d
    or features.events_30d > features.events_90d
    or features.days_since_last_message < 0
    or features.messages_30d > features.messages_90d
    or features.days_since_wecom_added < 0
