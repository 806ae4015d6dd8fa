{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Memberships of each customer, as known at each date.
select
    dates.as_of_date,
    coalesce(stay.customer_id, by_member_id.customer_id) as customer_id,
    max({{ days_between('version.registered_date', 'dates.as_of_date') }}) as days_since_registration
from ({{ all_versions('members') }}) as version
{{- join_customers('version', ['member_id']) }}
{{- join_feature_dates('version', 'version.member_id') }}
where
    version.registered_at < dates.as_of
    and by_member_id.customer_id is not null
group by dates.as_of_date, coalesce(stay.customer_id, by_member_id.customer_id)
