{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Every version of every order, on the customer that its strongest identifier belongs to now.
{%- set identifiers = ['member_id', 'buyer_id', 'unionid', 'openid', 'phone_token'] %}
select
    version.order_id,
    {{ first_joined('customer_id', identifiers) }} as customer_id,
    {{ first_joined('identifier', identifiers) }} as identifier,
    {{ is_counted('version.status') }} as is_counted,
    version.paid_at,
    version.ordered_date,
    version.channel,
    version.store_id,
    version.gross_amount,
    version.discount_amount,
    version.net_amount,
    version._event_at,
    version._known_at,
    version._superseded_at
from {{ ref('stg_order_versions') }} as version
{{- join_customers('version', identifiers) }}
