{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- WeCom relationships of each customer, as known at each date. An end that lies after the date has
-- not happened yet, although a history load knows of it.
select
    dates.as_of_date,
    coalesce(stay.customer_id, by_external_userid.customer_id) as customer_id,
    count(case when version.deleted_at is null or version.deleted_at >= dates.as_of then 1 end)
        as wecom_contacts,
    count(
        case
            when
                version.deleted_at < dates.as_of
                -- To be handed over to other staff is not the customer's doing.
                and coalesce(version.deleted_by, '') <> 'transfer'
                and {{ days_between('version.deleted_date', 'dates.as_of_date') }} < 90
                then 1
        end
    ) as wecom_deletions_90d,
    max({{ days_between('version.added_date', 'dates.as_of_date') }}) as days_since_wecom_added
from ({{ all_versions('contacts') }}) as version
{{- join_customers('version', ['external_userid']) }}
{{- join_feature_dates('version', 'version.external_userid') }}
where by_external_userid.customer_id is not null
group by dates.as_of_date, coalesce(stay.customer_id, by_external_userid.customer_id)
