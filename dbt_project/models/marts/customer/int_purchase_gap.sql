{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- One row per customer and day with a counted order, with the days since their purchase day before.
-- Days, not orders: two baskets on one day are one visit and no gap.
select
    days.customer_id,
    days.ordered_date,
    {{ days_between(
        'lag(days.ordered_date) over (partition by days.customer_id order by days.ordered_date)',
        'days.ordered_date'
    ) }} as gap_days
from (
    select distinct
        orders.customer_id,
        orders.ordered_date
    from {{ ref('fct_order') }} as orders
    where
        orders.is_counted
        and orders.customer_id is not null
        and orders.ordered_date <= {{ as_of_date() }}
) as days
