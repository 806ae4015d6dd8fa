{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Every refund that lowers revenue, of money that had gone back by the end of the as-of day: by its own
-- day, converted by the rate of that day, and with the day of its order, which is its own where the order
-- is not known or would come after it.
select
    refund.refund_id,
    refund.order_id,
    refund.customer_id,
    refund.refunded_date,
    least(refund.refunded_date, coalesce(placed.ordered_date, refund.refunded_date)) as ordered_date,
    refund.currency,
    refund.amount,
    {{ in_reporting_currency('refund', 'amount') }} as amount_reporting,
    {{ is_unconverted('refund') }} as is_unconverted
from {{ ref('fct_refund') }} as refund
left join {{ ref('fct_order') }} as placed on refund.order_id = placed.order_id
{{ join_exchange_rate('refund', 'refunded_date') }}
where refund.is_counted and refund.refunded_date <= {{ as_of_date() }}
