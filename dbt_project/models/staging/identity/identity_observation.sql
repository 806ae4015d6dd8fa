{{ config(materialized='table') }}
-- Which identifiers stood together on one row of a source, counted: one row per combination. It
-- is read several times below, so that large sources are read once.
{%- macro observed(relation, columns, where='1 = 1') %}
select
    '{{ relation }}' as seen_in,
    {%- for kind in ['member_id', 'buyer_id', 'unionid', 'openid', 'external_userid', 'phone_token', 'email_token', 'remark_phone_token'] %}
    cast({{ columns.get(kind, 'null') }} as string) as {{ kind }},
    {%- endfor %}
    count(*) as evidence_count,
    min(coalesce(_event_at, _known_at)) as first_seen_at,
    max(coalesce(_event_at, _known_at)) as last_seen_at,
    min(_known_at) as known_at
from {{ ref(relation) }}
where {{ where }}
group by {{ columns.values() | join(', ') }}
{%- endmacro %}

{{ observed('stg_members', {
    'member_id': 'member_id', 'unionid': 'unionid', 'openid': 'openid',
    'phone_token': 'phone_token', 'email_token': 'email_token',
}) }}
union all
{{ observed('stg_contacts', {
    'external_userid': 'external_userid', 'unionid': 'unionid',
    'remark_phone_token': 'remark_phone_token',
}) }}
union all
{{ observed('stg_group_members', {'external_userid': 'userid', 'unionid': 'unionid'},
    where="member_type = 'customer'") }}
union all
{{ observed('stg_orders', {
    'member_id': 'member_id', 'buyer_id': 'buyer_id', 'unionid': 'unionid', 'openid': 'openid',
    'phone_token': 'phone_token',
}) }}
union all
{{ observed('stg_interactions', {
    'member_id': 'member_id', 'openid': 'openid', 'unionid': 'unionid',
    'external_userid': 'external_userid',
}) }}
