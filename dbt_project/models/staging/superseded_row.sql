{{ config(
    materialized=by_batch(), incremental_strategy='affected', unique_key="entity || '|' || row_key",
    meta={'reads': contract_keys() | list}, pre_hook="{{ find_affected(touched_keys()) }}",
) }}
{#- Name every source while parsing, so that the graph does not depend on the data. -#}
{%- for entity in contract_keys() %}{% do source('lake', entity) %}{% endfor %}
{%- for entity in contract_keys() if may_have_versions(entity) and has_new(entity) %}
{%- set key = contract_keys()[entity].key %}
{%- set newest_first = newest_first(contract_keys()[entity].version) %}
select
    '{{ entity }}' as entity,
    {{ row_key(entity, 'ranked') }} as row_key,
    ranked._batch_id,
    ranked._file,
    ranked._row,
    ranked.superseded_at
from (
    select
        {% for column in key %}repeated.{{ column }}, {% endfor %}
        repeated._batch_id,
        repeated._file,
        repeated._row,
        row_number() over (
            partition by {{ key | join(', ') }} order by {{ newest_first }}
        ) as recency,
        min(repeated._known_at) over (
            partition by {{ key | join(', ') }} order by {{ newest_first }}
            rows between unbounded preceding and 1 preceding
        ) as superseded_at
    from {{ source('lake', entity) }} as repeated
    where ({{ key | join(', ') }}) in (
        {%- if is_incremental() %}
        select {{ key | join(', ') }} from {{ source('lake', entity) }} as fresh
        where {{ is_new('fresh') }}
        {%- else %}
        select {{ key | join(', ') }} from {{ source('lake', entity) }}
        group by {{ key | join(', ') }}
        having count(*) > 1
        {%- endif %}
    )
) as ranked
where ranked.recency > 1
union all
{%- endfor %}
select
    cast(null as string) as entity,
    cast(null as string) as row_key,
    cast(null as string) as _batch_id,
    cast(null as string) as _file,
    cast(null as bigint) as _row,
    cast(null as timestamp) as superseded_at
where 1 = 0
