{{ config(
    materialized=by_batch(), incremental_strategy='affected', unique_key='order_id',
    meta={'reads': ['orders', 'order_lines', 'refunds'], 'identifier': 'identifier'},
    pre_hook="{{ find_affected(touched_orders(refunds=true)) }}",
) }}
with refunded as (
    select
        order_id,
        sum(amount) as amount
    from {{ only_affected(ref('stg_refunds'), 'order_id') }} as refund
    where status = 'completed' and order_id is not null
    group by order_id
),

-- The strongest identifier that is known decides; a junk one has no customer and is passed over.
resolved as (
    select
        placed.*,
        coalesce(
            by_member.customer_id, by_buyer.customer_id, by_unionid.customer_id,
            by_openid.customer_id, by_phone.customer_id
        ) as customer_id,
        case
            when by_member.customer_id is not null then 'member_id'
            when by_buyer.customer_id is not null then 'buyer_id'
            when by_unionid.customer_id is not null then 'unionid'
            when by_openid.customer_id is not null then 'openid'
            when by_phone.customer_id is not null then 'phone'
        end as resolved_by,
        case
            when by_member.customer_id is not null then placed.member_id
            when by_buyer.customer_id is not null then placed.buyer_id
            when by_unionid.customer_id is not null then placed.unionid
            when by_openid.customer_id is not null then placed.openid
            when by_phone.customer_id is not null then placed.phone_token
        end as identifier,
        {{ is_counted('placed.status') }} as is_counted
    from {{ only_affected(ref('stg_orders'), 'order_id') }} as placed
    left join {{ ref('customer_identifier') }} as by_member on placed.member_id = by_member.identifier
    left join {{ ref('customer_identifier') }} as by_buyer on placed.buyer_id = by_buyer.identifier
    left join {{ ref('customer_identifier') }} as by_unionid on placed.unionid = by_unionid.identifier
    left join {{ ref('customer_identifier') }} as by_openid on placed.openid = by_openid.identifier
    left join {{ ref('customer_identifier') }} as by_phone on placed.phone_token = by_phone.identifier
)

select
    resolved.order_id,
    resolved.customer_id,
    resolved.customer_id is not null as is_resolved,
    resolved.resolved_by,
    resolved.identifier,
    resolved.channel,
    resolved.status,
    resolved.is_counted,
    resolved.store_id,
    resolved.staff_id,
    resolved.campaign_id,
    resolved.coupon_id,
    resolved.country,
    resolved.currency,
    resolved.gross_amount,
    resolved.discount_amount,
    resolved.net_amount,
    {{ money('coalesce(resolved.shipping_amount, 0)') }} as shipping_amount,
    {{ money('coalesce(resolved.tax_amount, 0)') }} as tax_amount,
    {{ money('coalesce(refunded.amount, 0)') }} as refunded_amount,
    {{ money('case when resolved.is_counted then resolved.net_amount - coalesce(refunded.amount, 0) else 0 end') }}
        as net_revenue,
    resolved.is_derived,
    resolved.ordered_at,
    resolved.ordered_date,
    resolved.paid_at,
    resolved.completed_at,
    resolved._known_at,
    resolved._source
from resolved
left join refunded on resolved.order_id = refunded.order_id
