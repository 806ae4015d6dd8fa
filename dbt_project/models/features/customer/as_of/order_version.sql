{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Every version of every order, on the customer that its identifiers belong to now.
{%- set identifiers = ['member_id', 'buyer_id', 'unionid', 'openid', 'phone_token'] %}
select
    version.order_id,
    {{ joined_customer(identifiers) }} as customer_id,
    version.status in ('paid', 'shipped', 'completed') as is_counted,
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
where not version.is_derived
union all
select
    version.order_id,
    by_member_id.customer_id,
    true as is_counted,
    cast(null as timestamp) as paid_at,
    version.ordered_date,
    version.channel,
    version.store_id,
    version.gross_amount,
    version.discount_amount,
    version.net_amount,
    version._event_at,
    version._known_at,
    version._superseded_at
from {{ ref('line_order_version') }} as version
{{- join_customers('version', ['member_id']) }}
