{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Marketing consent that each customer took back or refused, as known at each date.
select
    dates.as_of_date,
    coalesce(stay.customer_id, by_identifier.customer_id) as customer_id,
    count(
        case
            when
                version.status in ('denied', 'withdrawn')
                and {{ days_between('version.effective_date', 'dates.as_of_date') }} < 180
                then 1
        end
    ) as marketing_refusals_180d
from ({{ all_versions('consents') }}) as version
{{- join_customers('version', ['identifier']) }}
{{- join_feature_dates('version', 'version.identifier') }}
where
    version.purpose = 'marketing'
    and by_identifier.customer_id is not null
group by dates.as_of_date, coalesce(stay.customer_id, by_identifier.customer_id)
