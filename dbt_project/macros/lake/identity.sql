{#-
  Parts of the identity models, one per way in which a source names customers.
-#}

{#- Each staging model that names customers: what it is made from, its identifiers, the rows that count. -#}
{% macro observed_models() -%}
    {{ return([
        ('stg_members', ['members'], {
            'member_id': 'member_id', 'unionid': 'unionid', 'openid': 'openid',
            'phone_token': 'phone_token', 'email_token': 'email_token',
        }, '1 = 1'),
        ('stg_contacts', ['contacts'], {
            'external_userid': 'external_userid', 'unionid': 'unionid',
            'remark_phone_token': 'remark_phone_token',
        }, '1 = 1'),
        ('stg_group_members', ['group_members'], {'external_userid': 'userid', 'unionid': 'unionid'},
            "member_type = 'customer'"),
        ('stg_orders', ['orders', 'order_lines'], {
            'member_id': 'member_id', 'buyer_id': 'buyer_id', 'unionid': 'unionid', 'openid': 'openid',
            'phone_token': 'phone_token',
        }, '1 = 1'),
        ('stg_credited_order', ['points', 'orders', 'order_lines'], {
            'member_id': 'member_id', 'buyer_id': 'buyer_id', 'unionid': 'unionid', 'openid': 'openid',
        }, '1 = 1'),
        ('stg_interactions', ['interactions'], {
            'member_id': 'member_id', 'openid': 'openid', 'unionid': 'unionid',
            'external_userid': 'external_userid',
        }, '1 = 1'),
    ]) }}
{%- endmacro %}

{#- A query of those that anything new reaches. -#}
{% macro touched_models() -%}
    {%- for relation, entities, _, _ in observed_models() if has_new(*entities) %}
    select '{{ relation }}' as key
    union all
    {%- endfor %}
    select cast(null as string) as key where 1 = 0
{%- endmacro %}

{#-
  Which identifiers stand together on the rows of a staging model, counted. `columns` maps each kind
  of identifier to the column that holds it; `entities` are what the model is made from. What a row says
  now is evidence; when it was first known is what any version of it says, else a member whose tier
  changed yesterday would have been unknown until then. Where new rows replace none, an incremental
  build adds them to what was counted before, and history is not read again; orders, and what points
  say of them, are counted anew, as lines may make or end one.
-#}
{% macro observed_together(relation, entities, columns, where) %}
{%- set kinds = ['member_id', 'buyer_id', 'unionid', 'openid', 'external_userid', 'phone_token', 'email_token', 'remark_phone_token'] %}
{#- Named while parsing, as the graph does not depend on how a model is built. -#}
{%- do ref('superseded_row') %}
{%- if entities | length == 1 %}
{%- set versions = '(' ~ all_versions(entities[0]) ~ ')' %}
{%- else %}
{%- set versions = ref({'stg_orders': 'stg_order_versions'}.get(relation, relation)) %}
{%- endif %}
{%- set adds = is_incremental() and entities | length == 1 and not replaces_rows(entities[0]) %}
{%- set counted %}
select
    '{{ relation }}' as seen_in,
    {%- for kind in kinds %}
    cast({{ columns.get(kind, 'null') }} as string) as {{ kind }},
    {%- endfor %}
    count(case when _superseded_at is null then 1 end) as evidence_count,
    min(case when _superseded_at is null then coalesce(_event_at, _known_at) end) as first_seen_at,
    max(case when _superseded_at is null then coalesce(_event_at, _known_at) end) as last_seen_at,
    min(_known_at) as known_at
from {{ versions }} as observed
where {{ where }}{% if adds %} and {{ is_new('observed') }}{% endif %}
group by {{ columns.values() | join(', ') }}
{%- endset %}
{%- if not adds -%}
{{ counted }}
{%- else %}
select
    seen_in,
    {{ kinds | join(', ') }},
    cast(sum(evidence_count) as bigint) as evidence_count,
    min(first_seen_at) as first_seen_at,
    max(last_seen_at) as last_seen_at,
    min(known_at) as known_at
from (
    select * from {{ this }} where seen_in = '{{ relation }}'
    union all
    {{ counted }}
) as added
group by seen_in, {{ kinds | join(', ') }}
{%- endif %}
{%- endmacro %}

{#- The identifiers in one column of a staging model. -#}
{% macro seen_identifier(column, relation) %}
select
    {{ column }} as identifier,
    count(*) as evidence_count,
    min(coalesce(_event_at, _known_at)) as first_seen_at,
    max(coalesce(_event_at, _known_at)) as last_seen_at,
    min(_known_at) as known_at
from {{ ref(relation) }}
where {{ column }} is not null
group by {{ column }}
{%- endmacro %}

{#- The identifiers of one kind in identity_observation. -#}
{% macro observed_identifier(column) %}
select {{ column }} as identifier, evidence_count, first_seen_at, last_seen_at, known_at
from {{ ref('identity_observation') }}
where {{ column }} is not null
{%- endmacro %}
