{#-
  Parts of the identity models, one per way in which a source names customers.
-#}

{#-
  Which identifiers stand together on the rows of a staging model, counted. `columns` maps each kind
  of identifier to the column that holds it.
-#}
{% macro observed_together(relation, columns, where='1 = 1') %}
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
where {{ where }} and {{ is_touched() }}
group by {{ columns.values() | join(', ') }}
{%- endmacro %}

{#- The identifiers in one column of a staging model. -#}
{% macro seen_identifier(column, relation) %}
select
    {{ column }} as identifier,
    min(coalesce(_event_at, _known_at)) as first_seen_at,
    max(coalesce(_event_at, _known_at)) as last_seen_at,
    min(_known_at) as known_at
from {{ ref(relation) }}
where {{ column }} is not null
group by {{ column }}
{%- endmacro %}

{#- The identifiers of one kind in identity_observation. -#}
{% macro observed_identifier(column) %}
select {{ column }} as identifier, first_seen_at, last_seen_at, known_at
from {{ ref('identity_observation') }}
where {{ column }} is not null
{%- endmacro %}
