-- The retailer's key figures by ISO week. Every counted order and refund is in exactly one week, tied
-- to a customer or not; what could not be tied, or not converted into the retailer's currency, is shown
-- beside what could.
{%- set window_days = var('models').get('repurchase', {}).get('horizon_days', 90) %}
with weeks as (
    select
        days.week_start,
        {{ add_days('days.week_start', 6) }} as week_end
    from {{ ref('dim_date') }} as days
    where
        days.date_day >= {{ date_literal(var('history_from')) }}
        and days.date_day <= {{ as_of_date() }}
    group by days.week_start
),

sales as (
    select
        {{ period_start('week', 'sale.ordered_date') }} as week_start,
        count(*) as orders,
        count(sale.customer_id) as resolved_orders,
        count(distinct sale.customer_id) as active_customers,
        sum(sale.gross_amount_reporting) as gross_amount,
        sum(sale.discount_amount_reporting) as discount_amount,
        sum(sale.net_amount_reporting) as net_sales,
        coalesce(sum(case when sale.customer_id is not null then sale.net_amount_reporting end), 0)
            as resolved_net_sales,
        count(case when sale.is_unconverted then 1 end) as unconverted_orders
    from {{ ref('int_sale') }} as sale
    group by {{ period_start('week', 'sale.ordered_date') }}
),

refunds as (
    select
        {{ period_start('week', 'refund.refunded_date') }} as week_start,
        sum(refund.amount_reporting) as refunded_amount,
        count(case when refund.is_unconverted then 1 end) as unconverted_refunds
    from {{ ref('int_refund') }} as refund
    group by {{ period_start('week', 'refund.refunded_date') }}
),

customer_weeks as (
    select
        days.customer_id,
        {{ period_start('week', 'days.ordered_date') }} as week_start,
        max(days.ordered_date) as last_day
    from {{ ref('int_purchase_gap') }} as days
    group by days.customer_id, {{ period_start('week', 'days.ordered_date') }}
),

returning_customers as (
    select
        visits.week_start,
        count(*) as returning_customers
    from (
        select
            customer_weeks.week_start,
            lag(customer_weeks.last_day) over (
                partition by customer_weeks.customer_id order by customer_weeks.week_start
            ) as last_day_before
        from customer_weeks
    ) as visits
    where visits.last_day_before >= {{ add_days('visits.week_start', -window_days) }}
    group by visits.week_start
),

-- A member whose day of registration is not known counts from the day they were first seen.
member_days as (
    select coalesce(customers.registered_date, customers.first_seen_date) as member_since
    from {{ ref('dim_customer') }} as customers
    where customers.is_member
),

registrations as (
    select
        {{ period_start('week', 'member_days.member_since') }} as week_start,
        count(*) as new_members
    from member_days
    where
        member_days.member_since >= {{ date_literal(var('history_from')) }}
        and member_days.member_since <= {{ as_of_date() }}
    group by {{ period_start('week', 'member_days.member_since') }}
),

members_before as (
    select count(*) as members
    from member_days
    where member_days.member_since < {{ date_literal(var('history_from')) }}
)

select
    weeks.week_start,
    weeks.week_end,
    cast(
        members_before.members
        + sum(coalesce(registrations.new_members, 0)) over (
            order by weeks.week_start rows between unbounded preceding and current row
        ) as bigint
    ) as members,
    coalesce(registrations.new_members, 0) as new_members,
    coalesce(sales.active_customers, 0) as active_customers,
    coalesce(returning_customers.returning_customers, 0) as returning_customers,
    {{ divide('coalesce(returning_customers.returning_customers, 0)', 'sales.active_customers') }}
        as repurchase_rate,
    coalesce(sales.orders, 0) as orders,
    {{ money('coalesce(sales.gross_amount, 0)') }} as gross_amount,
    {{ money('coalesce(sales.discount_amount, 0)') }} as discount_amount,
    {{ money('coalesce(sales.net_sales, 0)') }} as net_sales,
    {{ money('coalesce(refunds.refunded_amount, 0)') }} as refunded_amount,
    {{ money('coalesce(sales.net_sales, 0) - coalesce(refunds.refunded_amount, 0)') }}
        as net_revenue,
    {{ money(divide('sales.net_sales', 'sales.orders - sales.unconverted_orders')) }} as average_order_value,
    {{ divide('coalesce(refunds.refunded_amount, 0)', 'sales.net_sales') }} as refund_rate,
    {{ divide('sales.resolved_orders', 'sales.orders') }} as order_coverage,
    {{ divide('sales.resolved_net_sales', 'sales.net_sales') }} as revenue_coverage,
    coalesce(sales.orders - sales.resolved_orders, 0) as unresolved_orders,
    {{ money('coalesce(sales.net_sales - sales.resolved_net_sales, 0)') }} as unresolved_net_sales,
    '{{ var("currency") }}' as currency,
    coalesce(sales.unconverted_orders, 0) as unconverted_orders,
    coalesce(refunds.unconverted_refunds, 0) as unconverted_refunds,
    (
        weeks.week_start >= {{ date_literal(var('history_from')) }}
        and weeks.week_end <= {{ as_of_date() }}
    ) as is_complete_week
from weeks
cross join members_before
left join sales on weeks.week_start = sales.week_start
left join refunds on weeks.week_start = refunds.week_start
left join returning_customers on weeks.week_start = returning_customers.week_start
left join registrations on weeks.week_start = registrations.week_start
