{{ config(
    materialized=by_batch(), incremental_strategy='affected', unique_key='order_id',
    meta={'reads': ['orders', 'order_lines'], 'identifier': 'identifier'},
    pre_hook="{{ find_affected(touched_orders()) }}",
) }}
select
    line.order_id,
    line.line_no,
    line.line_type,
    coalesce(placed.customer_id, held.customer_id) as customer_id,
    coalesce(placed.customer_id, held.customer_id) is not null as is_resolved,
    coalesce(placed.identifier, case when held.customer_id is not null then line.member_id end) as identifier,
    line.product_id,
    coalesce(line.store_id, placed.store_id) as store_id,
    coalesce(placed.channel, line.channel) as channel,
    line.quantity,
    line.unit_price,
    line.gross_amount,
    line.discount_amount,
    line.net_amount,
    line.currency,
    line.line_type = 'sale' and coalesce(placed.is_counted, false) as is_counted,
    line.ordered_at,
    line.ordered_date,
    line._known_at,
    line._source
from {{ latest_rows('order_lines', 'order_id') }} as line
left join {{ only_affected(ref('fct_order'), 'order_id') }} as placed on line.order_id = placed.order_id
left join {{ ref('customer_identifier') }} as held on line.member_id = held.identifier
