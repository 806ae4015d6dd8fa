{#-
  Dates and times where DuckDB and Spark differ. A model never writes an engine's own function: it
  calls one of these. Each has one implementation per engine, chosen by adapter.dispatch.
-#}

{#- Whole days from one date to another: negative when `until` is the earlier. -#}
{% macro days_between(since, until) -%}
    {{ return(adapter.dispatch('days_between')(since, until)) }}
{%- endmacro %}
{% macro duckdb__days_between(since, until) -%}
    date_diff('day', cast({{ since }} as date), cast({{ until }} as date))
{%- endmacro %}
{% macro spark__days_between(since, until) -%}
    cast(datediff(cast({{ until }} as date), cast({{ since }} as date)) as bigint)
{%- endmacro %}

{#- Seconds from one timestamp to another, as DOUBLE. -#}
{% macro seconds_between(since, until) -%}
    {{ return(adapter.dispatch('seconds_between')(since, until)) }}
{%- endmacro %}
{% macro duckdb__seconds_between(since, until) -%}
    (date_diff('microsecond', {{ since }}, {{ until }}) / 1000000.0::double)
{%- endmacro %}
{% macro spark__seconds_between(since, until) -%}
    (cast(timestampdiff(microsecond, {{ since }}, {{ until }}) as double) / 1000000.0D)
{%- endmacro %}

{#- A date some days later (earlier when `days` is negative). -#}
{% macro add_days(day, days) -%}
    {{ return(adapter.dispatch('add_days')(day, days)) }}
{%- endmacro %}
{% macro duckdb__add_days(day, days) -%}
    cast(cast({{ day }} as date) + cast({{ days }} as integer) as date)
{%- endmacro %}
{% macro spark__add_days(day, days) -%}
    date_add(cast({{ day }} as date), cast({{ days }} as int))
{%- endmacro %}

{#- A timestamp some days later (earlier when `days` is negative): 24 hours each. -#}
{% macro add_days_to_timestamp(moment, days) -%}
    {{ return(adapter.dispatch('add_days_to_timestamp')(moment, days)) }}
{%- endmacro %}
{% macro duckdb__add_days_to_timestamp(moment, days) -%}
    ({{ moment }} + to_days(cast({{ days }} as integer)))
{%- endmacro %}
{% macro spark__add_days_to_timestamp(moment, days) -%}
    timestampadd(day, cast({{ days }} as int), {{ moment }})
{%- endmacro %}

{#- A timestamp some minutes later (earlier when `minutes` is negative). -#}
{% macro add_minutes(moment, minutes) -%}
    ({{ moment }} {{ '-' if minutes < 0 else '+' }} interval '{{ minutes | abs }}' minute)
{%- endmacro %}

{#- Calendar months from one date to another, by month number: January 31 to February 1 is 1. -#}
{% macro months_between_dates(since, until) -%}
    ((extract(year from {{ until }}) - extract(year from {{ since }})) * 12
    + extract(month from {{ until }}) - extract(month from {{ since }}))
{%- endmacro %}

{#- First day of the period a date is in; `part` is week (Monday), month, quarter or year. -#}
{% macro period_start(part, day) -%}
    cast(date_trunc('{{ part }}', cast({{ day }} as date)) as date)
{%- endmacro %}

{#- Day of the week, Monday is 1 and Sunday 7, as BIGINT. -#}
{% macro day_of_week(day) -%}
    {{ return(adapter.dispatch('day_of_week')(day)) }}
{%- endmacro %}
{% macro duckdb__day_of_week(day) -%}
    cast(extract(isodow from {{ day }}) as bigint)
{%- endmacro %}
{% macro spark__day_of_week(day) -%}
    cast(extract(dayofweek_iso from {{ day }}) as bigint)
{%- endmacro %}

{#- The retailer's local day of a UTC timestamp. -#}
{% macro local_date(moment) -%}
    {{ return(adapter.dispatch('local_date')(moment)) }}
{%- endmacro %}
{% macro duckdb__local_date(moment) -%}
    cast(timezone('{{ var("timezone") }}', timezone('UTC', {{ moment }})) as date)
{%- endmacro %}
{% macro spark__local_date(moment) -%}
    cast(from_utc_timestamp({{ moment }}, '{{ var("timezone") }}') as date)
{%- endmacro %}

{#- A query that yields every day from `first` to `last`, both counted, as column date_day. -#}
{% macro every_day(first, last) -%}
    {{ return(adapter.dispatch('every_day')(first, last)) }}
{%- endmacro %}
{% macro duckdb__every_day(first, last) -%}
    select cast(series.generate_series as date) as date_day
    from generate_series(cast({{ first }} as date), cast({{ last }} as date), interval 1 day) as series
{%- endmacro %}
{% macro spark__every_day(first, last) -%}
    select explode(sequence(cast({{ first }} as date), cast({{ last }} as date), interval 1 day)) as date_day
{%- endmacro %}

{#- A date or UTC timestamp given as text, as a literal. -#}
{% macro date_literal(text) -%}
    cast('{{ text }}' as date)
{%- endmacro %}
{% macro timestamp_literal(text) -%}
    cast('{{ text }}' as timestamp)
{%- endmacro %}

{#- The local day worked as of, and the first UTC instant after it (exclusive: compare with <). -#}
{% macro as_of_date() -%}
    {{ date_literal(var('as_of_date')) }}
{%- endmacro %}
{% macro as_of() -%}
    {{ timestamp_literal(var('as_of')) }}
{%- endmacro %}
