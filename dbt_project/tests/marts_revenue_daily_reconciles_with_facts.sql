{{ config(meta={"dagster": {"ref": {"name": "revenue_daily"}}}) }}
-- In each currency all days together are what the facts say, and refunds by the day the money went back
-- are in sum refunds by the day of the order.
with days as (
    select
        daily.currency,
        sum(daily.orders) as orders,
        sum(daily.net_sales) as net_sales,
        sum(daily.refunded_amount) as refunded_amount,
        sum(daily.refunded_amount_by_order_date) as refunded_by_order_date
    from {{ ref('revenue_daily') }} as daily
    group by daily.currency
),

facts as (
    select
        moved.currency,
        sum(moved.orders) as orders,
        sum(moved.net_sales) as net_sales,
        sum(moved.refunded_amount) as refunded_amount
    from (
        select
            orders.currency,
            1 as orders,
            orders.net_amount as net_sales,
            cast(0 as decimal(18, 4)) as refunded_amount
        from {{ ref('fct_order') }} as orders
        where orders.is_counted and orders.ordered_date <= {{ as_of_date() }}
        union all
        select
            fct_refund.currency,
            0 as orders,
            cast(0 as decimal(18, 4)) as net_sales,
            fct_refund.amount as refunded_amount
        from {{ ref('fct_refund') }} as fct_refund
        where fct_refund.is_counted and fct_refund.refunded_date <= {{ as_of_date() }}
    ) as moved
    group by moved.currency
)

select
    coalesce(days.currency, facts.currency) as currency,
    days.net_sales as net_sales_here,
    facts.net_sales as net_sales_there,
    days.refunded_amount as refunded_here,
    days.refunded_by_order_date as refunded_by_order_date_here,
    facts.refunded_amount as refunded_there
from days
full outer join facts on days.currency = facts.currency
where
    days.currency is null
    or facts.currency is null
    or days.orders <> facts.orders
    or days.net_sales <> facts.net_sales
    or days.refunded_amount <> facts.refunded_amount
    or days.refunded_by_order_date <> facts.refunded_amount
