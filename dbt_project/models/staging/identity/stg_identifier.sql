{{ config(materialized='table') }}
-- Every identifier of a customer that any source names, also those that nothing links to others.
{%- macro seen(column, relation) %}
select
    {{ column }} as identifier,
    min(coalesce(_event_at, _known_at)) as first_seen_at,
    max(coalesce(_event_at, _known_at)) as last_seen_at,
    min(_known_at) as known_at
from {{ ref(relation) }}
where {{ column }} is not null
group by {{ column }}
{%- endmacro %}
{%- macro observed(column) %}
select {{ column }} as identifier, first_seen_at, last_seen_at, known_at
from {{ ref('identity_observation') }}
where {{ column }} is not null
{%- endmacro %}
with seen as (
    {{ observed('member_id') }}
    union all {{ observed('buyer_id') }}
    union all {{ observed('unionid') }}
    union all {{ observed('openid') }}
    union all {{ observed('external_userid') }}
    union all {{ observed('phone_token') }}
    union all {{ observed('email_token') }}
    union all {{ observed('remark_phone_token') }}
    union all {{ seen('member_id', 'stg_order_lines') }}
    union all {{ seen('member_id', 'stg_coupons') }}
    union all {{ seen('member_id', 'stg_points') }}
    union all {{ seen('member_id', 'stg_feedback') }}
    union all {{ seen('external_userid', 'stg_messages') }}
    union all {{ seen('identifier', 'stg_consents') }}
    union all {{ seen('identifier', 'stg_assignments') }}
)

select
    identifier,
    {{ namespace_of('identifier') }} as namespace,
    min(first_seen_at) as first_seen_at,
    max(last_seen_at) as last_seen_at,
    min(known_at) as known_at
from seen
group by identifier
