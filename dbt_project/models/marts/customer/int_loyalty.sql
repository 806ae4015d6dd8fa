{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Points and coupons a customer holds at the end of the as-of day; one row per customer with either.
-- A membership's balance is what its last entry says, else the sum of its entries.
select
    held.customer_id,
    sum(held.points) as points_balance,
    sum(held.coupons) as coupons_open
from (
    select
        accounts.customer_id,
        coalesce(accounts.balance_after, accounts.changes) as points,
        cast(null as bigint) as coupons
    from (
        select
            entries.customer_id,
            entries.balance_after,
            sum(entries.change) over (partition by entries.customer_id, entries.member_id) as changes,
            row_number() over (
                partition by entries.customer_id, entries.member_id
                order by entries.occurred_at desc, entries.entry_id desc
            ) as recency
        from {{ ref('fct_point_entry') }} as entries
        where entries.customer_id is not null and entries.occurred_at < {{ as_of() }}
    ) as accounts
    where accounts.recency = 1
    union all
    select
        owners.customer_id,
        cast(null as bigint) as points,
        count(*) as coupons
    from {{ ref('stg_coupons') }} as coupons
    inner join {{ ref('customer_identifier') }} as owners
        on coupons.member_id = owners.identifier
    where
        owners.customer_id is not null
        and coupons.status = 'issued'
        and coupons.issued_at < {{ as_of() }}
        and (coupons.expires_at is null or coupons.expires_at >= {{ as_of() }})
    group by owners.customer_id
) as held
group by held.customer_id
