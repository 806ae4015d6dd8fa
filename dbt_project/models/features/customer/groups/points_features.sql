{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Points accounts of each customer, as known at each date. An account's balance is what its last
-- entry says, else the sum of its entries.
with entries as (
    select
        dates.as_of_date,
        coalesce(stay.customer_id, by_member_id.customer_id) as customer_id,
        version.member_id,
        version.change,
        version.balance_after,
        {{ days_between('version.occurred_date', 'dates.as_of_date') }} as age_days,
        row_number() over (
            partition by dates.as_of_date, version.member_id
            order by version.occurred_at desc, version.entry_id desc
        ) as recency
    from ({{ all_versions('points') }}) as version
    {{- join_customers('version', ['member_id']) }}
    {{- join_feature_dates('version', 'version.member_id') }}
    where by_member_id.customer_id is not null
),

accounts as (
    select
        entries.as_of_date,
        entries.customer_id,
        entries.member_id,
        coalesce(max(case when entries.recency = 1 then entries.balance_after end), sum(entries.change))
            as balance,
        coalesce(
            sum(case when entries.age_days < 180 and entries.change < 0 then -entries.change end), 0
        ) as used_180d
    from entries
    group by entries.as_of_date, entries.customer_id, entries.member_id
)

select
    accounts.as_of_date,
    accounts.customer_id,
    sum(accounts.balance) as points_balance,
    sum(accounts.used_180d) as points_used_180d
from accounts
group by accounts.as_of_date, accounts.customer_id
