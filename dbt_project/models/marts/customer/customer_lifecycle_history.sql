-- The stages of each customer's life up to the as-of day, by the thresholds of that day.
with purchase as (
    select
        customer_id,
        ordered_date,
        row_number() over (partition by customer_id order by ordered_date) as place,
        lead(ordered_date) over (partition by customer_id order by ordered_date) as next_date
    from {{ ref('int_purchase_gap') }}
),

-- The first whole day on which the silence is longer than the threshold.
threshold as (
    select
        cast(floor(at_risk_after_days) as bigint) + 1 as at_risk_days,
        cast(floor(lapsed_after_days) as bigint) + 1 as lapsed_days
    from {{ ref('int_lifecycle_threshold') }}
),

silence as (
    select
        purchase.customer_id,
        purchase.next_date,
        {{ add_days('purchase.ordered_date', 'threshold.at_risk_days') }} as at_risk_date,
        {{ add_days('purchase.ordered_date', 'threshold.lapsed_days') }} as lapsed_date
    from purchase
    cross join threshold
),

beginning as (
    select
        customer.customer_id,
        'prospect' as lifecycle_stage,
        customer.first_seen_date as valid_from
    from {{ ref('dim_customer') }} as customer
    left join purchase on customer.customer_id = purchase.customer_id and purchase.place = 1
    where purchase.ordered_date is null or customer.first_seen_date < purchase.ordered_date
    union all
    select
        customer_id,
        case when place = 1 then 'new' else 'active' end as lifecycle_stage,
        ordered_date as valid_from
    from purchase
    union all
    select
        customer_id,
        'at_risk' as lifecycle_stage,
        at_risk_date as valid_from
    from silence
    where at_risk_date < lapsed_date and (next_date is null or at_risk_date < next_date)
    union all
    select
        customer_id,
        'lapsed' as lifecycle_stage,
        lapsed_date as valid_from
    from silence
    where next_date is null or lapsed_date < next_date
),

-- Who buys while active stays so.
change as (
    select
        customer_id,
        lifecycle_stage,
        valid_from
    from (
        select
            beginning.*,
            lag(lifecycle_stage) over (partition by customer_id order by valid_from) as stage_before
        from beginning
        where valid_from <= {{ as_of_date() }}
    ) as stage
    where stage_before is null or stage_before <> lifecycle_stage
)

select
    customer_id,
    lifecycle_stage,
    valid_from,
    lead(valid_from) over (partition by customer_id order by valid_from) as valid_to,
    row_number() over (partition by customer_id order by valid_from desc) = 1 as is_current
from change
