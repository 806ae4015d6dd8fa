{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- WeCom groups each customer was in, as known at each date.
select
    dates.as_of_date,
    coalesce(stay.customer_id, by_userid.customer_id) as customer_id,
    count(case when version.left_at is null or version.left_at >= dates.as_of then 1 end) as wecom_groups,
    count(
        case
            when
                version.left_at < dates.as_of
                and {{ days_between('version.left_date', 'dates.as_of_date') }} < 90
                then 1
        end
    ) as group_exits_90d
from ({{ all_versions('group_members') }}) as version
{{- join_customers('version', ['userid']) }}
{{- join_feature_dates('version', 'version.userid') }}
where
    version.member_type = 'customer'
    and by_userid.customer_id is not null
group by dates.as_of_date, coalesce(stay.customer_id, by_userid.customer_id)
