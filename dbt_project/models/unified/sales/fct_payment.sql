{{ config(
    materialized=by_batch(), incremental_strategy='affected', unique_key='payment_id',
    meta={'reads': ['orders', 'order_lines', 'payments'], 'identifier': 'identifier'},
    pre_hook="{{ find_affected(touched_payments()) }}",
) }}
-- The order has the customer; that one changes with the identifier's: depends_on: {{ ref('customer_identifier') }}
select
    payment.payment_id,
    payment.order_id,
    placed.customer_id,
    placed.customer_id is not null as is_resolved,
    placed.identifier,
    placed.channel,
    payment.method,
    payment.amount,
    payment.currency,
    payment.status,
    payment.status = 'succeeded' as is_counted,
    payment.paid_at,
    payment.paid_date,
    payment._known_at,
    payment._source
from {{ latest_rows('payments', 'payment_id') }} as payment
left join {{ ref('fct_order') }} as placed on payment.order_id = placed.order_id
