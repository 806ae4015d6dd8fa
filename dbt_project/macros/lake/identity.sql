{#-
  Parts of the identity models: how a source names customers, and which of that a batch touches.
-#}

{#-
  Each staging model that names customers, its identifiers by kind, and which of its rows count. Those
  that name them by one identifier link nothing; they say who there is.
-#}
{% macro observed_models() -%}
    {{ return([
        ('stg_members', {
            'member_id': 'member_id', 'unionid': 'unionid', 'openid': 'openid',
            'phone_token': 'phone_token', 'email_token': 'email_token',
        }, '1 = 1'),
        ('stg_contacts', {
            'external_userid': 'external_userid', 'unionid': 'unionid',
            'remark_phone_token': 'remark_phone_token',
        }, '1 = 1'),
        ('stg_group_members', {'external_userid': 'userid', 'unionid': 'unionid'},
            "member_type = 'customer'"),
        ('stg_orders', {
            'member_id': 'member_id', 'buyer_id': 'buyer_id', 'unionid': 'unionid', 'openid': 'openid',
            'phone_token': 'phone_token',
        }, '1 = 1'),
        ('stg_credited_order', {
            'member_id': 'member_id', 'buyer_id': 'buyer_id', 'unionid': 'unionid', 'openid': 'openid',
        }, '1 = 1'),
        ('stg_interactions', {
            'member_id': 'member_id', 'openid': 'openid', 'unionid': 'unionid',
            'external_userid': 'external_userid',
        }, '1 = 1'),
        ('stg_order_lines', {'member_id': 'member_id'}, '1 = 1'),
        ('stg_coupons', {'member_id': 'member_id'}, '1 = 1'),
        ('stg_points', {'member_id': 'member_id'}, '1 = 1'),
        ('stg_feedback', {'member_id': 'member_id'}, '1 = 1'),
        ('stg_messages', {'external_userid': 'external_userid'}, '1 = 1'),
        ('stg_consents', {'identifier': 'identifier'}, '1 = 1'),
        ('stg_assignments', {'identifier': 'identifier'}, '1 = 1'),
    ]) }}
{%- endmacro %}

{#- Kinds of identifiers, as identity_observation has a column for each; the last is of any kind. -#}
{% macro identifier_kinds() -%}
    {{ return([
        'member_id', 'buyer_id', 'unionid', 'openid', 'external_userid', 'phone_token', 'email_token',
        'remark_phone_token', 'identifier',
    ]) }}
{%- endmacro %}

{#- The entities whose rows a staging model of observed_models is made from. -#}
{% macro observed_entities(relation) -%}
    {{ return(['points', 'orders'] if relation == 'stg_credited_order' else [relation[4:]]) }}
{%- endmacro %}

{#- Those of observed_models that anything new reaches; all of them while the project is parsed. -#}
{% macro touched_models() -%}
    {%- set touched = [] -%}
    {%- for relation, columns, where in observed_models() if has_new(*observed_entities(relation)) -%}
        {%- do touched.append((relation, columns, where)) -%}
    {%- endfor -%}
    {{ return(touched) }}
{%- endmacro %}

{#-
  Which combination of identifiers a row shows, as one number: columns of identity_observation, or those
  of a staging model. Two combinations of one number would only be counted together, each for itself.
  Used by incremental builds, which are DuckDB's.
-#}
{% macro combination(seen_in='seen_in', columns=none) -%}
    hash({{ seen_in }}
    {%- for kind in identifier_kinds() -%}
        , cast({{ kind if columns is none else columns.get(kind, 'null') }} as string)
    {%- endfor -%})
{%- endmacro %}

{#- The condition that a row of a staging model bears any identifier. -#}
{% macro names_somebody(columns) -%}
    ({{ columns.values() | join(' is not null or ') }} is not null)
{%- endmacro %}

{#-
  A query of the rows of an entity that new batches touch: their own, and all other versions of the keys
  that these have.
-#}
{% macro touched_rows(entity) -%}
    {%- set key = contract_keys()[entity].key | join(', ') -%}
    select touched.* from {{ source('lake', entity) }} as touched
    where
        {%- if replaces_rows(entity) %}
        ({{ key }}) in (select {{ key }} from {{ source('lake', entity) }} as fresh where {{ is_new('fresh') }})
        {%- else %}
        {{ is_new('touched') }}
        {%- endif %}
{%- endmacro %}

{#- A query of the orders that touched points or orders are about. -#}
{% macro touched_credits() -%}
    select entry.order_id as key from ({{ touched_rows('points') }}) as entry where entry.order_id is not null
    union
    select bought.order_id from ({{ touched_rows('orders') }}) as bought
{%- endmacro %}

{#-
  A query of the rows that a staging model of observed_models has, or had before, of what new batches
  touch: some that never counted too, as counting those anew changes nothing.
-#}
{% macro touched_observations(relation) -%}
    {%- if relation != 'stg_credited_order' -%}
    {{ touched_rows(observed_entities(relation)[0]) }}
    {%- else -%}
    select entry.member_id, bought.buyer_id, bought.unionid, bought.openid
    from {{ source('lake', 'points') }} as entry
    inner join {{ source('lake', 'orders') }} as bought on entry.order_id = bought.order_id
    where
        entry.order_id in ({{ touched_credits() }})
        and bought.order_id in ({{ touched_credits() }})
    {%- endif -%}
{%- endmacro %}

{#- A query of the combinations on rows that new batches touch. -#}
{% macro touched_combinations() -%}
    {%- for relation, columns, _ in touched_models() %}
    select {{ combination("'" ~ relation ~ "'", columns) }} as key
    from ({{ touched_observations(relation) }}) as seen
    where {{ names_somebody(columns) }}
    union
    {%- endfor %}
    select cast(null as ubigint) as key where 1 = 0
{%- endmacro %}

{#- A query of the identifiers on rows that new batches touch. -#}
{% macro touched_identifiers() -%}
    with none as (select cast(null as string) as key where 1 = 0)
    {%- for relation, columns, _ in touched_models() -%},
    seen_in_{{ relation }} as (
        select distinct {{ columns.values() | join(', ') }} from ({{ touched_observations(relation) }}) as seen
    )
    {%- endfor %}

    {%- for relation, columns, _ in touched_models() %}
    {%- for column in columns.values() %}
    select {{ column }} as key from seen_in_{{ relation }} where {{ column }} is not null
    union
    {%- endfor %}
    {%- endfor %}
    select key from none
{%- endmacro %}

{#-
  Every version of a contact, as all_versions has it, but for the end of one. That a customer is gone says
  who she is in no source but an export: where it names neither union id nor phone, what was said of her
  before still counts.
-#}
{% macro contact_versions(key) -%}
    {%- set partition = contract_keys()['contacts'].key | join(', ') -%}
    select ranked.*
    from (
        select
            said.*,
            case
                when
                    row_number() over (
                        partition by {{ partition }}, is_mere_end
                        order by {{ newest_first(contract_keys()['contacts'].version) }}
                    ) > 1
                    then _known_at
            end as _superseded_at
        from (
            select
                contact.*,
                contact.deleted_at is not null and coalesce(contact.unionid, contact.remark_phone_token) is null
                    as is_mere_end
            from {{ source('lake', 'contacts') }} as contact
            {%- if is_incremental() %}
            where contact.external_userid in (
                select fresh.external_userid from ({{ touched_rows('contacts') }}) as fresh
            )
            {%- endif %}
        ) as said
    ) as ranked
    {%- if is_incremental() %}
    where {{ key }} in (select key from affected)
    {%- endif %}
{%- endmacro %}

{#-
  Which identifiers stand together on the rows of a staging model, counted. What rows say now is
  evidence; since when it was known is what any of their versions says, else a member whose tier changed
  yesterday would have been unknown until then. An incremental build counts the combinations of touched
  rows: again, or, where new rows replace none, it adds these to what was counted before.
-#}
{% macro observed_together(relation, columns, where) %}
{#- Named while parsing, as the graph does not depend on how a model is built. -#}
{%- do ref('superseded_row') %}{%- do ref(relation) %}
{%- set entity, key = observed_entities(relation)[0], combination("'" ~ relation ~ "'", columns) %}
{%- set is_lake = relation != 'stg_credited_order' %}
{%- set adds = is_incremental() and is_lake and not replaces_rows(entity) %}
{%- set counted %}
select
    '{{ relation }}' as seen_in,
    {%- for kind in identifier_kinds() %}
    cast({{ columns.get(kind, 'null') }} as string) as {{ kind }},
    {%- endfor %}
    count(case when _superseded_at is null then 1 end) as evidence_count,
    min(case when _superseded_at is null then coalesce(_event_at, _known_at) end) as first_seen_at,
    max(case when _superseded_at is null then coalesce(_event_at, _known_at) end) as last_seen_at,
    min(_known_at) as known_at
from
    {%- if adds %}
    (select fresh.*, null as _superseded_at from {{ source('lake', entity) }} as fresh where {{ is_new('fresh') }}) as version
    {%- elif entity == 'contacts' %}
    ({{ contact_versions(key) }}) as version
    {%- elif is_lake %}
    ({{ all_versions(entity, key=key) }}) as version
    {%- else %}
    {{ only_affected(ref(relation), key) }} as version
    {%- endif %}
where {{ where }} and {{ names_somebody(columns) }}
group by {{ columns.values() | join(', ') }}
{%- endset %}
{%- if not adds -%}
{{ counted }}
{%- else %}
select
    seen_in,
    {{ identifier_kinds() | join(', ') }},
    cast(sum(evidence_count) as bigint) as evidence_count,
    min(first_seen_at) as first_seen_at,
    max(last_seen_at) as last_seen_at,
    min(known_at) as known_at
from (
    {{ counted }}
    union all
    select * from {{ only_affected(this, combination()) }} as before where seen_in = '{{ relation }}'
) as added
group by seen_in, {{ identifier_kinds() | join(', ') }}
{%- endif %}
{%- endmacro %}

{#- The condition that an identifier of a row of identity_observation is an affected key. -#}
{% macro names_affected() -%}
    {%- for kind in identifier_kinds() -%}
    {{ ' or ' if not loop.first }}{{ kind }} in (select key from affected)
    {%- endfor -%}
{%- endmacro %}

{#- The identifiers of one kind in identity_observation, in an incremental build only affected ones. -#}
{% macro observed_identifier(kind) %}
select {{ kind }} as identifier, evidence_count, first_seen_at, last_seen_at, known_at
from {{ only_affected(ref('identity_observation'), kind) }} as observed
where {{ kind }} is not null
{%- endmacro %}
