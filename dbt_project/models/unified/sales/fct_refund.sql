{{ config(
    materialized=by_batch(), incremental_strategy='affected', unique_key='refund_id',
    meta={'reads': ['orders', 'order_lines', 'refunds'], 'identifier': 'identifier'},
    pre_hook="{{ find_affected(touched_refunds()) }}",
) }}
with refund as (
    select
        recorded.*,
        coalesce(recorded.product_id, line.product_id) as returned_product_id,
        case when recorded.status = 'completed' then coalesce(recorded.refunded_at, recorded.requested_at) end
            as completed_at,
        case when recorded.status = 'completed' then coalesce(recorded.refunded_date, recorded.requested_date) end
            as completed_date
    from {{ only_affected(ref('stg_refunds'), 'refund_id') }} as recorded
    left join {{ ref('fct_order_line') }} as line
        on recorded.order_id = line.order_id and recorded.line_no = line.line_no
)

select
    refund.refund_id,
    refund.order_id,
    refund.document_id,
    refund.line_no,
    coalesce(placed.customer_id, held.customer_id) as customer_id,
    coalesce(placed.customer_id, held.customer_id) is not null as is_resolved,
    coalesce(placed.identifier, case when held.customer_id is not null then refund.member_id end) as identifier,
    refund.returned_product_id as product_id,
    coalesce(refund.store_id, placed.store_id) as store_id,
    coalesce(placed.channel, refund.channel) as channel,
    refund.quantity,
    refund.amount,
    refund.currency,
    refund.status,
    refund.status = 'completed' and coalesce(placed.is_counted, true) as is_counted,
    refund.is_derived,
    refund.requested_at,
    refund.requested_date,
    refund.completed_at as refunded_at,
    refund.completed_date as refunded_date,
    refund._known_at,
    refund._source
from refund
left join {{ ref('fct_order') }} as placed on refund.order_id = placed.order_id
left join {{ ref('customer_identifier') }} as held on refund.member_id = held.identifier
