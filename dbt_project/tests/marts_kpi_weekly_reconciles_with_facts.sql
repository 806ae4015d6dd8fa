{{ config(meta={"dagster": {"ref": {"name": "kpi_weekly"}}}) }}
-- Every counted order and refund up to the as-of day is in exactly one week: money and orders of all
-- weeks together are those of the facts, tied to a customer or not.
with weeks as (
    select
        coalesce(sum(kpi.orders), 0) as orders,
        coalesce(sum(kpi.net_sales), 0) as net_sales,
        coalesce(sum(kpi.net_revenue), 0) as net_revenue
    from {{ ref('kpi_weekly') }} as kpi
),

facts as (
    select
        sales.orders,
        sales.net_sales,
        sales.net_sales - refunds.refunded as net_revenue
    from (
        select
            count(*) as orders,
            coalesce(sum({{ in_reporting_currency('orders', 'net_amount') }}), 0) as net_sales
        from {{ ref('fct_order') }} as orders
        {{ join_exchange_rate('orders', 'ordered_date') }}
        where orders.is_counted and orders.ordered_date <= {{ as_of_date() }}
    ) as sales
    cross join (
        select coalesce(sum({{ in_reporting_currency('fct_refund', 'amount') }}), 0) as refunded
        from {{ ref('fct_refund') }} as fct_refund
        {{ join_exchange_rate('fct_refund', 'refunded_date') }}
        where fct_refund.is_counted and fct_refund.refunded_date <= {{ as_of_date() }}
    ) as refunds
)

select
    weeks.orders as orders_here,
    facts.orders as orders_there,
    weeks.net_revenue as revenue_here,
    facts.net_revenue as revenue_there
from weeks
cross join facts
where
    weeks.orders <> facts.orders
    or weeks.net_sales <> facts.net_sales
    or weeks.net_revenue <> facts.net_revenue
