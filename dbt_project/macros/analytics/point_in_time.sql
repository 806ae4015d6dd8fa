{#-
  What held at a moment, as far as was known then. docs/point-in-time.md explains it with an example.
-#}

{#-
  The condition that a row held at `moment`, by what was known at `known_by`: at that same moment, unless
  another is given. Both are UTC and exclusive: the end of a day is the first instant of the next.
    alias: of the relation that the row is from
    valid, recorded: its columns that say from when until when the row holds, and from when until when
        that was believed; an end that is empty, or that the relation has no column for, is open
-#}
{% macro point_in_time(
    moment, alias='', known_by=none, valid=['valid_from', 'valid_to'], recorded=['recorded_from', 'recorded_to']
) -%}
    {%- set dot = alias ~ '.' if alias else '' -%}
    {%- set known_by = known_by or moment -%}
    {{ dot }}{{ recorded[0] }} < {{ known_by }}
    and ({{ dot }}{{ recorded[1] }} is null or {{ dot }}{{ recorded[1] }} >= {{ known_by }})
    and ({{ dot }}{{ valid[0] }} is null or {{ dot }}{{ valid[0] }} < {{ moment }})
    {%- if valid[1] %}
    and ({{ dot }}{{ valid[1] }} is null or {{ dot }}{{ valid[1] }} >= {{ moment }})
    {%- endif %}
{%- endmacro %}

{#-
  Several as-of dates at once: the same for every feature date of a run, in one pass over the versions.
-#}

{#- The dates to build features for: a query of as_of_date and as_of (UTC, exclusive). -#}
{% macro feature_dates() -%}
    {%- for date in var('feature_dates') %}
    select {{ date_literal(date.as_of_date) }} as as_of_date, {{ timestamp_literal(date.as_of) }} as as_of
    union all
    {%- endfor %}
    select {{ as_of_date() }} as as_of_date, {{ as_of() }} as as_of
    where 1 = 0
{%- endmacro %}

{#-
  The first feature date whose end lies after a moment: the first on which what became known at that
  moment counts. Null when that is none of them.
-#}
{% macro first_feature_date_after(moment) -%}
    {%- set dates = var('feature_dates') | sort(attribute='as_of') -%}
    {%- if dates -%}
    case
        {%- for date in dates %}
        when {{ moment }} < {{ timestamp_literal(date.as_of) }} then {{ date_literal(date.as_of_date) }}
        {%- endfor %}
    end
    {%- else -%}
    cast(null as date)
    {%- endif -%}
{%- endmacro %}

{#- The same of a local day: the first feature date that is not before it. -#}
{% macro first_feature_date_on(day) -%}
    {%- set dates = var('feature_dates') | sort(attribute='as_of') -%}
    {%- if dates -%}
    case
        {%- for date in dates %}
        when {{ day }} <= {{ date_literal(date.as_of_date) }} then {{ date_literal(date.as_of_date) }}
        {%- endfor %}
    end
    {%- else -%}
    cast(null as date)
    {%- endif -%}
{%- endmacro %}

{#-
  The join that repeats each version of a row for every feature date on which it counted, as `dates`:
  it had happened and was known, and no newer version was. `identifier` ties the row to its customer;
  where that was known to be another one then, it is `stay.customer_id`, which is null otherwise.
-#}
{% macro join_feature_dates(alias, identifier) %}
    left join {{ ref('identity_as_of') }} as stay on {{ identifier }} = stay.identifier
    inner join {{ ref('feature_date') }} as dates
        on
            {{ first_feature_date_after('greatest(' ~ alias ~ '._known_at, ' ~ alias ~ '._event_at)') }}
            = dates.counts_from
            and ({{ alias }}._superseded_at is null or {{ alias }}._superseded_at >= dates.as_of)
            and (stay.counts_from is null or stay.counts_from <= dates.as_of_date)
            and (stay.counts_until is null or stay.counts_until > dates.as_of_date)
{%- endmacro %}

{#- The joins that look up the customer, today, of each identifier column of a relation; not of junk. -#}
{% macro join_customers(alias, columns) -%}
    {%- for column in columns %}
    left join {{ ref('customer_identifier') }} as by_{{ column }}
        on {{ alias }}.{{ column }} = by_{{ column }}.identifier and by_{{ column }}.customer_id is not null
    {%- endfor %}
{%- endmacro %}

{#- What join_customers found in the first column, in that order, whose identifier has a customer. -#}
{% macro first_joined(field, columns) -%}
    coalesce(
        {%- for column in columns %}by_{{ column }}.{{ field }}{% if not loop.last %}, {% endif %}{% endfor -%}
    )
{%- endmacro %}

{#-
  A count or sum over a source, as DOUBLE: 0 for a customer without rows, null on dates before the
  source began. `start` is a column of source_start; the model calls it `started`, the dates `dates`.
-#}
{% macro count_since_start(start, expression) -%}
    case when started.{{ start }} < dates.as_of then cast(coalesce({{ expression }}, 0) as double) end
{%- endmacro %}

{#- When the first row of a relation had happened and was known; `column` must then be filled. -#}
{% macro began(relation, column=none) -%}
    (
        select min(greatest(rows_of._known_at, rows_of._event_at))
        from {{ relation }} as rows_of
        {%- if column is not none %}
        where rows_of.{{ column }} is not null
        {%- endif %}
    )
{%- endmacro %}
