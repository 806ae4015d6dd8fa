-- Customers by the month of their first counted order, followed month by month up to the as-of day.
with orders as (
    select
        sale.customer_id,
        {{ period_start('month', 'sale.ordered_date') }} as month_start,
        sale.net_amount_reporting as net_amount
    from {{ ref('int_sale') }} as sale
    where sale.customer_id is not null
),

customers as (
    select
        orders.customer_id,
        min(orders.month_start) as cohort_month
    from orders
    group by orders.customer_id
),

cohorts as (
    select
        customers.cohort_month,
        count(*) as customers
    from customers
    group by customers.cohort_month
),

months as (
    select distinct days.month_start
    from {{ ref('dim_date') }} as days
    where days.date_day <= {{ as_of_date() }}
),

-- A refund counts in the month the money went back. One from before the cohort's first month belongs
-- to an order from before the history and to no cohort.
movements as (
    select
        orders.customer_id,
        orders.month_start,
        orders.net_amount as amount,
        orders.customer_id as buyer_id
    from orders
    union all
    select
        refunds.customer_id,
        {{ period_start('month', 'refunds.refunded_date') }} as month_start,
        -refunds.amount_reporting as amount,
        cast(null as string) as buyer_id
    from {{ ref('int_refund') }} as refunds
    where refunds.customer_id is not null
),

activity as (
    select
        customers.cohort_month,
        movements.month_start,
        count(distinct movements.buyer_id) as active_customers,
        sum(movements.amount) as net_revenue
    from movements
    inner join customers
        on movements.customer_id = customers.customer_id
    where movements.month_start >= customers.cohort_month
    group by customers.cohort_month, movements.month_start
)

select
    cohorts.cohort_month,
    cast({{ months_between_dates('cohorts.cohort_month', 'months.month_start') }} as bigint)
        as months_since,
    months.month_start,
    cohorts.customers,
    coalesce(activity.active_customers, 0) as active_customers,
    {{ divide('coalesce(activity.active_customers, 0)', 'cohorts.customers') }} as retention_rate,
    {{ money('coalesce(activity.net_revenue, 0)') }} as net_revenue,
    {{ money(divide(
        'sum(coalesce(activity.net_revenue, 0)) over ('
        ~ 'partition by cohorts.cohort_month order by months.month_start'
        ~ ' rows between unbounded preceding and current row)',
        'cohorts.customers'
    )) }} as cumulative_revenue_per_customer,
    '{{ var("currency") }}' as currency,
    months.month_start < {{ period_start('month', add_days(as_of_date(), 1)) }}
        as is_complete_month
from cohorts
inner join months
    on cohorts.cohort_month <= months.month_start
left join activity
    on cohorts.cohort_month = activity.cohort_month and months.month_start = activity.month_start
