{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Coupons of each customer, as known at each date. State is read from its days, not from the status:
-- a history load knows of redemptions that had not happened yet.
select
    dates.as_of_date,
    coalesce(stay.customer_id, by_member_id.customer_id) as customer_id,
    count(
        case
            when
                version.status <> 'void'
                and (version.redeemed_at is null or version.redeemed_at >= dates.as_of)
                and (version.expires_at is null or version.expires_at >= dates.as_of)
                then 1
        end
    ) as coupons_open,
    count(
        case
            when
                version.redeemed_at < dates.as_of
                and {{ days_between('version.redeemed_date', 'dates.as_of_date') }} < 180
                then 1
        end
    ) as coupons_redeemed_180d
from ({{ all_versions('coupons') }}) as version
{{- join_customers('version', ['member_id']) }}
{{- join_feature_dates('version', 'version.member_id') }}
where by_member_id.customer_id is not null
group by dates.as_of_date, coalesce(stay.customer_id, by_member_id.customer_id)
