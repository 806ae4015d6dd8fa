{#-
  Text where DuckDB and Spark differ.
-#}

{#- A group's distinct texts in order, joined; null when there are none. -#}
{% macro joined_texts(expression, separator=',') -%}
    {{ return(adapter.dispatch('joined_texts')(expression, separator)) }}
{%- endmacro %}
{% macro duckdb__joined_texts(expression, separator) -%}
    string_agg(distinct {{ expression }}, '{{ separator }}' order by {{ expression }})
{%- endmacro %}
{% macro spark__joined_texts(expression, separator) -%}
    nullif(array_join(sort_array(collect_set({{ expression }})), '{{ separator }}'), '')
{%- endmacro %}

{#- A hash of a text as 32 hex digits, the same on both engines. -#}
{% macro text_hash(expression) -%}
    md5(cast({{ expression }} as string))
{%- endmacro %}

{#- What stands before the first colon of an identifier: its namespace. -#}
{% macro namespace_of(identifier) -%}
    split_part({{ identifier }}, ':', 1)
{%- endmacro %}

{#- The namespaces whose identifiers are of a kind, as an SQL list; phone and email name themselves. -#}
{% macro namespaces_of(kind) -%}
    {%- set names = ['', kind] if kind in ('phone', 'email') else [''] -%}
    {%- for namespace, its_kind in var('identifier_types').items() if its_kind == kind -%}
        {%- do names.append(namespace) -%}
    {%- endfor -%}
    ('{{ names | join("', '") }}')
{%- endmacro %}
