-- Everything a person at the retailer asks about one customer, at the end of the as-of day.
with purchases as (
    select
        orders.customer_id,
        orders.order_id,
        orders.channel,
        orders.store_id,
        orders.ordered_date,
        orders.net_amount_reporting as net_amount,
        orders.is_unconverted,
        {{ days_between('orders.ordered_date', as_of_date()) }} as age_days
    from {{ ref('int_sale') }} as orders
    where orders.customer_id is not null
),

purchase_totals as (
    select
        purchases.customer_id,
        min(purchases.ordered_date) as first_order_date,
        max(purchases.ordered_date) as last_order_date,
        count(distinct purchases.ordered_date) as purchase_days,
        count(*) as orders_lifetime,
        {{ count_younger('purchases.age_days', 30) }} as orders_30d,
        {{ count_younger('purchases.age_days', 90) }} as orders_90d,
        {{ count_younger('purchases.age_days', 365) }} as orders_365d,
        count(case when not purchases.is_unconverted then 1 end) as valued_orders,
        sum(purchases.net_amount) as sales_lifetime,
        {{ sum_younger('purchases.net_amount', 'purchases.age_days', 30) }} as sales_30d,
        {{ sum_younger('purchases.net_amount', 'purchases.age_days', 90) }} as sales_90d,
        {{ sum_younger('purchases.net_amount', 'purchases.age_days', 365) }} as sales_365d
    from purchases
    group by purchases.customer_id
),

refund_totals as (
    select
        refunds.customer_id,
        count(*) as refunds_lifetime,
        sum(refunds.amount) as refunded_lifetime,
        {{ sum_younger('refunds.amount', 'refunds.age_days', 30) }} as refunded_30d,
        {{ sum_younger('refunds.amount', 'refunds.age_days', 90) }} as refunded_90d,
        {{ sum_younger('refunds.amount', 'refunds.age_days', 365) }} as refunded_365d
    from (
        select
            refund.customer_id,
            refund.amount_reporting as amount,
            {{ days_between('refund.refunded_date', as_of_date()) }} as age_days
        from {{ ref('int_refund') }} as refund
        where refund.customer_id is not null
    ) as refunds
    group by refunds.customer_id
),

gaps as (
    select
        purchase_gap.customer_id,
        {{ median('purchase_gap.gap_days') }} as median_gap_days
    from {{ ref('int_purchase_gap') }} as purchase_gap
    where purchase_gap.gap_days is not null
    group by purchase_gap.customer_id
),

category_purchases as (
    select
        lines.customer_id,
        products.category_l1,
        {{ in_reporting_currency('lines', 'net_amount') }} as net_amount
    from {{ ref('fct_order_line') }} as lines
    inner join {{ ref('dim_product') }} as products
        on lines.product_id = products.product_id
    {{ join_exchange_rate('lines', 'ordered_date') }}
    where
        lines.is_counted
        and lines.customer_id is not null
        and lines.ordered_date <= {{ as_of_date() }}
),

favourite_category as (
    {{ favourite('category_purchases', 'category_l1', 'sum(rows_of.net_amount)') }}
),

favourite_channel as (
    {{ favourite('purchases', 'channel', 'count(*)') }}
),

favourite_store as (
    {{ favourite('purchases', 'store_id', 'count(*)') }}
),

interaction_totals as (
    select
        interactions.customer_id,
        max(interactions.occurred_date) as last_interaction_date,
        {{ count_younger('interactions.age_days', 30) }} as interactions_30d,
        {{ count_younger('interactions.age_days', 90) }} as interactions_90d
    from (
        select
            fct_interaction.customer_id,
            fct_interaction.occurred_date,
            {{ days_between('fct_interaction.occurred_date', as_of_date()) }} as age_days
        from {{ ref('fct_interaction') }} as fct_interaction
        left join ({{ staff_customers() }}) as staff on fct_interaction.customer_id = staff.customer_id
        where
            fct_interaction.customer_id is not null
            and fct_interaction.occurred_date <= {{ as_of_date() }}
            and not {{ is_employed('staff', 'fct_interaction.occurred_date') }}
    ) as interactions
    group by interactions.customer_id
),

contactable as (
    select
        contactability.customer_id,
        {%- for channel in ['wecom', 'sms', 'email', 'phone', 'mini_program'] %}
        max(case when contactability.channel = '{{ channel }}' then 1 else 0 end) = 1 as {{ channel }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from {{ ref('contactability') }} as contactability
    where contactability.is_contactable and contactability.purpose = 'marketing'
    group by contactability.customer_id
)

select
    customers.customer_id,
    {{ as_of_date() }} as as_of_date,
    customers.member_id,
    customers.is_member,
    customers.has_phone,
    customers.has_external_userid as has_wecom,
    customers.has_openid as has_mini_program,
    customers.has_buyer_id as has_mall,
    customers.identifier_count,
    customers.gender,
    customers.age_band,
    customers.income_band,
    customers.household_size,
    customers.province,
    customers.city,
    customers.country,
    customers.tier,
    customers.status as member_status,
    customers.register_channel,
    customers.registered_date,
    customers.home_store_id,
    purchase_totals.first_order_date,
    purchase_totals.last_order_date,
    {{ days_between('purchase_totals.last_order_date', as_of_date()) }} as days_since_last_order,
    gaps.median_gap_days,
    coalesce(purchase_totals.purchase_days, 0) as purchase_days,
    coalesce(purchase_totals.orders_lifetime, 0) as orders_lifetime,
    coalesce(purchase_totals.orders_30d, 0) as orders_30d,
    coalesce(purchase_totals.orders_90d, 0) as orders_90d,
    coalesce(purchase_totals.orders_365d, 0) as orders_365d,
    {%- for window in ['lifetime', '30d', '90d', '365d'] %}
    {{ money(
        'coalesce(purchase_totals.sales_' ~ window ~ ', 0)'
        ~ ' - coalesce(refund_totals.refunded_' ~ window ~ ', 0)'
    ) }} as net_revenue_{{ window }},
    {%- endfor %}
    coalesce(refund_totals.refunds_lifetime, 0) as refunds_lifetime,
    {{ money('coalesce(refund_totals.refunded_lifetime, 0)') }} as refunded_amount_lifetime,
    {{ money(divide('purchase_totals.sales_lifetime', 'purchase_totals.valued_orders')) }}
        as average_order_value,
    '{{ var("currency") }}' as currency,
    favourite_category.favourite as favourite_category,
    favourite_channel.favourite as favourite_channel,
    favourite_store.favourite as favourite_store_id,
    coalesce(interaction_totals.interactions_30d, 0) as interactions_30d,
    coalesce(interaction_totals.interactions_90d, 0) as interactions_90d,
    interaction_totals.last_interaction_date,
    customers.wecom_active_staff_count as wecom_staff_count,
    customers.is_wecom_friend,
    customers.group_count,
    cast(loyalty.points_balance as bigint) as points_balance,
    cast(coalesce(loyalty.coupons_open, 0) as bigint) as coupons_open,
    {%- for channel in ['wecom', 'sms', 'email', 'phone', 'mini_program'] %}
    coalesce(contactable.{{ channel }}, false) as is_contactable_{{ channel }},
    {%- endfor %}
    coalesce(lifecycle.lifecycle_stage, 'prospect') as lifecycle_stage,
    thresholds.at_risk_after_days,
    thresholds.lapsed_after_days
from {{ ref('dim_customer') }} as customers
cross join {{ ref('int_lifecycle_threshold') }} as thresholds
left join purchase_totals on customers.customer_id = purchase_totals.customer_id
left join refund_totals on customers.customer_id = refund_totals.customer_id
left join gaps on customers.customer_id = gaps.customer_id
left join favourite_category on customers.customer_id = favourite_category.customer_id
left join favourite_channel on customers.customer_id = favourite_channel.customer_id
left join favourite_store on customers.customer_id = favourite_store.customer_id
left join interaction_totals on customers.customer_id = interaction_totals.customer_id
left join {{ ref('customer_lifecycle_history') }} as lifecycle
    on customers.customer_id = lifecycle.customer_id and lifecycle.is_current
left join {{ ref('int_loyalty') }} as loyalty on customers.customer_id = loyalty.customer_id
left join contactable on customers.customer_id = contactable.customer_id
