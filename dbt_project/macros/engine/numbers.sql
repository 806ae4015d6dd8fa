{#-
  Numbers where DuckDB and Spark differ: exact money, division, percentiles.
-#}

{#- Exact money. Sums are wider than their terms on both engines, each in its own way. -#}
{% macro money(expression) -%}
    cast({{ expression }} as decimal(18, 4))
{%- endmacro %}

{#- A quotient as DOUBLE; null when the divisor is 0. Decimal division differs between engines. -#}
{% macro divide(dividend, divisor) -%}
    (cast({{ dividend }} as double) / nullif(cast({{ divisor }} as double), 0))
{%- endmacro %}

{#- A percentile of a group, interpolated, as DOUBLE; `share` from 0 to 1. -#}
{% macro percentile(expression, share) -%}
    {{ return(adapter.dispatch('percentile')(expression, share)) }}
{%- endmacro %}
{% macro duckdb__percentile(expression, share) -%}
    quantile_cont(cast({{ expression }} as double), {{ share }})
{%- endmacro %}
{% macro spark__percentile(expression, share) -%}
    percentile(cast({{ expression }} as double), {{ share }})
{%- endmacro %}

{#- The median of a group, as DOUBLE. -#}
{% macro median(expression) -%}
    {{ percentile(expression, 0.5) }}
{%- endmacro %}
