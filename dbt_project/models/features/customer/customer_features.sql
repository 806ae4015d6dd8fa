{{ config(
    materialized='incremental',
    incremental_strategy='insert_overwrite' if target.type == 'spark' else 'delete+insert',
    unique_key=none if target.type == 'spark' else 'as_of_date',
    partition_by=['as_of_date'] if target.type == 'spark' else none,
    on_schema_change='fail'
) }}
-- What could be known of each customer who had bought, at the end of each as-of date. Only rows that
-- had happened and had arrived by then count, in the version known then; customers are those that were
-- known then: two who turn out to be one later are two. A run replaces its own dates and leaves all
-- others as they are.
select
    purchases.customer_id,
    purchases.as_of_date,
    -- recency and tenure
    cast(purchases.recency_days as double) as recency_days,
    cast(purchases.tenure_days as double) as tenure_days,
    cast(members.days_since_registration as double) as days_since_registration,
    -- frequency
    cast(purchases.order_count as double) as order_count,
    {%- for days in [30, 60, 90, 180, 365] %}
    cast(purchases.orders_{{ days }}d as double) as orders_{{ days }}d,
    {%- endfor %}
    -- money
    cast(purchases.sales - coalesce(refunds.refunded, 0) as double) as net_revenue,
    {%- for days in [30, 90, 365] %}
    cast(purchases.sales_{{ days }}d - coalesce(refunds.refunded_{{ days }}d, 0) as double)
        as net_revenue_{{ days }}d,
    {%- endfor %}
    {{ divide('purchases.sales', 'purchases.order_count') }} as average_order_value,
    cast(purchases.max_order_value as double) as max_order_value,
    cast(purchases.first_day_sales as double) as first_purchase_value,
    cast(purchases.last_day_sales as double) as last_purchase_value,
    -- rhythm
    purchases.gap_mean_days,
    purchases.gap_median_days,
    purchases.gap_std_days,
    cast(purchases.last_gap_days as double) as last_gap_days,
    {{ divide('purchases.recency_days', 'purchases.gap_mean_days') }} as recency_to_gap,
    -- trend
    cast(purchases.orders_ewma as double) as orders_ewma,
    cast(purchases.sales_ewma as double) as sales_ewma,
    {{ divide('purchases.orders_90d', 'purchases.orders_180d') }} as orders_trend,
    {{ divide('purchases.sales_90d', 'purchases.sales_180d') }} as sales_trend,
    case
        when {{ add_days('purchases.as_of_date', -365) }} >= {{ date_literal(var('history_from')) }}
            then cast(purchases.orders_season_last_year as double)
    end as orders_season_last_year,
    -- breadth
    {{ count_since_start('lines', 'baskets.products_365d') }} as products_365d,
    {{ count_since_start('categories', 'baskets.categories_365d') }} as categories_365d,
    case when started.lines < dates.as_of then {{ divide('baskets.units_365d', 'purchases.orders_365d') }} end
        as units_per_order_365d,
    {{ count_since_start('stores', 'purchases.stores_365d') }} as stores_365d,
    cast(purchases.channels_365d as double) as channels_365d,
    -- discounts and refunds
    {{ divide('purchases.discount_365d', 'purchases.gross_365d') }} as discount_share_365d,
    {{ divide('purchases.discounted_orders_365d', 'purchases.orders_365d') }}
        as discounted_order_share_365d,
    {{ count_since_start('refunds', 'refunds.refunds_365d') }} as refunds_365d,
    case
        when started.refunds < dates.as_of
            then {{ divide('coalesce(refunds.refunded_365d, 0)', 'purchases.sales_365d') }}
    end as refunded_share_365d,
    -- interactions
    cast(events.days_since_last_event as double) as days_since_last_event,
    {%- for name in ['events_7d', 'events_30d', 'events_90d', 'browses_30d', 'carts_30d', 'shares_90d'] %}
    {{ count_since_start('interactions', 'events.' ~ name) }} as {{ name }},
    {%- endfor %}
    {{ count_since_start('sessions', 'events.sessions_30d') }} as sessions_30d,
    {{ divide('events.events_30d', 'events.events_90d') }} as events_trend,
    -- messages
    cast(messages.days_since_last_message as double) as days_since_last_message,
    {{ count_since_start('messages', 'messages.messages_30d') }} as messages_30d,
    {{ count_since_start('messages', 'messages.messages_90d') }} as messages_90d,
    -- relationship
    {{ count_since_start('contacts', 'wecom.wecom_contacts') }} as wecom_contacts,
    {{ count_since_start('contacts', 'wecom.wecom_deletions_90d') }} as wecom_deletions_90d,
    cast(wecom.days_since_wecom_added as double) as days_since_wecom_added,
    {{ count_since_start('group_members', 'chat_groups.wecom_groups') }} as wecom_groups,
    {{ count_since_start('group_members', 'chat_groups.group_exits_90d') }} as group_exits_90d,
    {{ count_since_start('consents', 'consents.marketing_refusals_180d') }} as marketing_refusals_180d,
    -- loyalty
    {{ count_since_start('points', 'points.points_balance') }} as points_balance,
    {{ count_since_start('points', 'points.points_used_180d') }} as points_used_180d,
    {{ count_since_start('coupons', 'coupons.coupons_open') }} as coupons_open,
    {{ count_since_start('coupons', 'coupons.coupons_redeemed_180d') }} as coupons_redeemed_180d
from {{ ref('purchase_features') }} as purchases
inner join {{ ref('feature_date') }} as dates
    on purchases.as_of_date = dates.as_of_date and dates.counts_from = dates.as_of_date
cross join {{ ref('source_start') }} as started
{%- for alias, model in [
    ('members', 'member_features'),
    ('refunds', 'refund_features'),
    ('baskets', 'basket_features'),
    ('events', 'interaction_features'),
    ('messages', 'message_features'),
    ('wecom', 'wecom_features'),
    ('chat_groups', 'group_features'),
    ('consents', 'consent_features'),
    ('points', 'points_features'),
    ('coupons', 'coupon_features'),
] %}
left join {{ ref(model) }} as {{ alias }}
    on
        purchases.customer_id = {{ alias }}.customer_id
        and purchases.as_of_date = {{ alias }}.as_of_date
{%- endfor %}
