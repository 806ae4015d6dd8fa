{#-
  Relations that end and may begin again under the same key, such as a customer's membership of a group.
  The lake keeps versions of a key; a key's versions that say the same beginning speak of one period.
-#}

{#-
  The periods of a lake entity: the columns of its key, `began`, `ended`, `period_no` (1 for the first
  of a key), `attributes`, and `_known_at` and `_source` of the version that spoke last of the period. In
  an incremental build only rows in which `affected` is an affected key.
  A key that begins anew while nobody said that it had ended, ended then. A version that a newer one
  corrects to an earlier beginning was mistaken, and is no period. An end often comes without the rest,
  which then stays as it was last said.
-#}
{% macro periods(entity, began, ended, attributes, affected) -%}
    {%- set key = contract_keys()[entity].key | join(', ') -%}
    {%- set newest_first = newest_first(contract_keys()[entity].version) -%}
    select
        {{ key }},
        {{ began }},
        {#- Not least(): engines differ in what it makes of null. #}
        case
            when {{ ended }} is null or next_began < {{ ended }} then next_began
            else {{ ended }}
        end as {{ ended }},
        cast(row_number() over (partition by {{ key }} order by {{ began }}) as bigint) as period_no,
        {%- for attribute in attributes %}
        {{ attribute }},
        {%- endfor %}
        _known_at,
        _source
    from (
        select
            {{ key }},
            {{ began }},
            max(case when recency = 1 then {{ ended }} end) as {{ ended }},
            lead({{ began }}) over (partition by {{ key }} order by {{ began }}) as next_began,
            {%- for attribute in attributes %}
            coalesce(
                max(case when recency = 1 then {{ attribute }} end),
                max(case when description = 1 then {{ attribute }} end)
            ) as {{ attribute }},
            {%- endfor %}
            max(case when recency = 1 then _known_at end) as _known_at,
            max(case when recency = 1 then _source end) as _source
        from (
            select
                said.*,
                row_number() over (partition by {{ key }}, {{ began }} order by {{ newest_first }}) as recency,
                row_number() over (
                    partition by {{ key }}, {{ began }}
                    order by case when {{ ended }} is null then 0 else 1 end, {{ newest_first }}
                ) as description,
                min({{ began }}) over (
                    partition by {{ key }} order by {{ newest_first }}
                    rows between unbounded preceding and 1 preceding
                ) as newer_began
            from {{ lake_rows(entity, affected) }} as said
        ) as version
        where newer_began is null or newer_began >= {{ began }}
        group by {{ key }}, {{ began }}
    ) as period
{%- endmacro %}
