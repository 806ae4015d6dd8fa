{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Every order that counts, placed by the end of the as-of day: amounts in its own currency and in the
-- retailer's, empty where there is no rate for its day. What revenue is made of, for every mart.
select
    placed.order_id,
    placed.customer_id,
    placed.channel,
    placed.store_id,
    placed.ordered_date,
    placed.currency,
    placed.shipping_amount,
    placed.tax_amount,
    {%- for amount in ['gross_amount', 'discount_amount', 'net_amount'] %}
    placed.{{ amount }},
    {{ in_reporting_currency('placed', amount) }} as {{ amount }}_reporting,
    {%- endfor %}
    {{ is_unconverted('placed') }} as is_unconverted
from {{ ref('fct_order') }} as placed
{{ join_exchange_rate('placed', 'ordered_date') }}
where placed.is_counted and placed.ordered_date <= {{ as_of_date() }}
