{#-
  Versions of a row. The lake keeps every accepted version; staging.superseded_row lists, once, those
  that a later version replaced. Everything else asks that small table instead of ranking a large one,
  and not even that where the manifests say that no row was ever replaced.
-#}

{#- The order of a key's versions, newest first. -#}
{% macro newest_first(version) -%}
    {%- if version %}{{ version }} desc nulls last, {% endif -%}
    _known_at desc, _loaded_at desc, _batch_id desc, _file desc, _row desc
{%- endmacro %}

{#- An entity's key as one text. -#}
{% macro row_key(entity, alias) -%}
    {%- for column in contract_keys()[entity].key -%}
        {%- if not loop.first %} || '|' || {% endif -%}
        cast({{ alias }}.{{ column }} as string)
    {%- endfor -%}
{%- endmacro %}

{#- Whether a row of superseded_row (`old`) is this row of the entity (`alias`). -#}
{% macro same_row(entity, alias) -%}
    old.entity = '{{ entity }}'
    and old.row_key = {{ row_key(entity, alias) }}
    and old._batch_id = {{ alias }}._batch_id
    and old._file = {{ alias }}._file
    and old._row = {{ alias }}._row
{%- endmacro %}

{#-
  The latest version of each key of a lake entity, with all its columns. With `key`, in an incremental
  build only rows in which that column is an affected key: taken before versions are looked up, so
  that no more than these are read.
-#}
{% macro latest_versions(entity, key=none) -%}
    select newest.*
    from {{ lake_rows(entity, key) }} as newest
    {%- if may_have_versions(entity) %}
    where not exists (
        select 1 from {{ ref('superseded_row') }} as old
        where {{ same_row(entity, 'newest') }}
    )
    {%- endif %}
{%- endmacro %}

{#-
  Every version of each key, with all its columns and _superseded_at: when a newer version became
  known; null while this is the latest. The version that counted at a moment T is the one with
      _known_at < T and (_superseded_at is null or _superseded_at >= T)
  `key` is that of latest_versions.
-#}
{% macro all_versions(entity, key=none) -%}
    {%- if may_have_versions(entity) %}
    select
        version.*,
        old.superseded_at as _superseded_at
    from {{ lake_rows(entity, key) }} as version
    left join {{ ref('superseded_row') }} as old
        on {{ same_row(entity, 'version') }}
    {%- else %}
    select
        version.*,
        cast(null as timestamp) as _superseded_at
    from {{ lake_rows(entity, key) }} as version
    {%- endif %}
{%- endmacro %}

{#- A lake entity; with `key` in an incremental build its rows of affected keys. -#}
{% macro lake_rows(entity, key) -%}
    {%- if key -%}{{ only_affected(source('lake', entity), key) }}
    {%- else -%}{{ source('lake', entity) }}
    {%- endif -%}
{%- endmacro %}

{#- The condition that a row of all_versions counted at `moment` and had happened by then. -#}
{% macro counted_at(moment, alias='') -%}
    {{ point_in_time(moment, alias, valid=['_event_at', none], recorded=['_known_at', '_superseded_at']) }}
{%- endmacro %}

{#-
  Whether an entity may hold superseded rows. Looking for them in a large table that has none costs
  as much as reading it, so whoever runs dbt reads the manifests first (siyu.transform.run_dbt);
  without that every entity may.
-#}
{% macro may_have_versions(entity) -%}
    {%- set known = var('entities_with_versions') -%}
    {{ return(known is none or entity in known) }}
{%- endmacro %}
