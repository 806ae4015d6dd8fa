{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Mass messages that reached each customer, as known at each date.
with received as (
    select
        dates.as_of_date,
        coalesce(stay.customer_id, by_external_userid.customer_id) as customer_id,
        {{ days_between('version.sent_date', 'dates.as_of_date') }} as age_days
    from ({{ all_versions('messages') }}) as version
    {{- join_customers('version', ['external_userid']) }}
    {{- join_feature_dates('version', 'version.external_userid') }}
    where
        version.status = 'sent'
        and version.sent_at < dates.as_of
        and by_external_userid.customer_id is not null
)

select
    received.as_of_date,
    received.customer_id,
    min(received.age_days) as days_since_last_message,
    {{ count_younger('received.age_days', 30) }} as messages_30d,
    {{ count_younger('received.age_days', 90) }} as messages_90d
from received
group by received.as_of_date, received.customer_id
