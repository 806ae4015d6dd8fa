{{ config(
    materialized=by_batch(), incremental_strategy='affected', unique_key='document_id',
    meta={'reads': ['orders', 'order_lines']}, pre_hook="{{ find_affected(touched_orders()) }}",
) }}
-- Every version of the return lines of retailers whose orders have no headers, as refunds. Where the selling system has
-- headers it also has refund records, and counting its return lines too would count them twice.
-- The order is the line's own when that sold something; a credit note does not say which it was.
select
    line.order_id || ':' || cast(line.line_no as string) as refund_id,
    sold.order_id,
    line.order_id as document_id,
    line.line_no,
    line.member_id,
    line.product_id,
    line.store_id,
    line.channel,
    {{ money('-line.quantity') }} as quantity,
    {{ money('-line.net_amount') }} as amount,
    line.currency,
    line.ordered_at,
    line.ordered_date,
    line._source,
    line._event_at,
    line._event_date,
    line._known_at,
    line._loaded_at,
    line._superseded_at
from ({{ all_versions('order_lines', key='order_id') }}) as line
left join {{ ref('stg_orders_from_lines') }} as sold
    on line.order_id = sold.order_id and sold._superseded_at is null
where
    line.line_type = 'return'
    and not exists (
        select 1 from {{ source('lake', 'orders') }} as header
        where header.order_id = line.order_id
    )
