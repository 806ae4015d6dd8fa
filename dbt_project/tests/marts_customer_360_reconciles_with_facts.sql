{{ config(meta={"dagster": {"ref": {"name": "customer_360"}}}) }}
-- What the customers spent in all is what the facts tie to customers.
with customers as (
    select
        coalesce(sum(customer_360.orders_lifetime), 0) as orders,
        coalesce(sum(customer_360.net_revenue_lifetime), 0) as net_revenue
    from {{ ref('customer_360') }} as customer_360
),

facts as (
    select
        sales.orders,
        sales.net_sales - refunds.refunded as net_revenue
    from (
        select
            count(*) as orders,
            coalesce(sum({{ in_reporting_currency('orders', 'net_amount') }}), 0) as net_sales
        from {{ ref('fct_order') }} as orders
        {{ join_exchange_rate('orders', 'ordered_date') }}
        where
            orders.is_counted
            and orders.customer_id is not null
            and orders.ordered_date <= {{ as_of_date() }}
    ) as sales
    cross join (
        select coalesce(sum({{ in_reporting_currency('fct_refund', 'amount') }}), 0) as refunded
        from {{ ref('fct_refund') }} as fct_refund
        {{ join_exchange_rate('fct_refund', 'refunded_date') }}
        where
            fct_refund.is_counted
            and fct_refund.customer_id is not null
            and fct_refund.refunded_date <= {{ as_of_date() }}
    ) as refunds
)

select
    customers.orders as orders_here,
    facts.orders as orders_there,
    customers.net_revenue as revenue_here,
    facts.net_revenue as revenue_there
from customers
cross join facts
where customers.orders <> facts.orders or customers.net_revenue <> facts.net_revenue
