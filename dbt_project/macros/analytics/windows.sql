{#-
  Sums and counts over the last days before a day, and what builds on them. A window of n days ends
  with the as-of day itself: it holds the rows whose age in days is 0 to n - 1. Models compute the
  age once, as a column, and hand it in.
-#}

{#- How many rows are younger than `days`; `age` is a column of whole days. -#}
{% macro count_younger(age, days) -%}
    count(case when {{ age }} < {{ days }} then 1 end)
{%- endmacro %}

{#- The sum over rows younger than `days`; 0 when there are none. -#}
{% macro sum_younger(expression, age, days) -%}
    coalesce(sum(case when {{ age }} < {{ days }} then {{ expression }} end), 0)
{%- endmacro %}

{#-
  The value each customer has most of: a query of customer_id and `favourite`. Ties go to the value
  first in the alphabet, so that two runs agree.
    relation: rows with customer_id; value: column to choose; weight: aggregate to rank by
-#}
{% macro favourite(relation, value, weight) -%}
    select ranked.customer_id, ranked.favourite
    from (
        select
            rows_of.customer_id,
            rows_of.{{ value }} as favourite,
            row_number() over (
                partition by rows_of.customer_id order by {{ weight }} desc, rows_of.{{ value }} asc
            ) as place
        from {{ relation }} as rows_of
        where rows_of.{{ value }} is not null
        group by rows_of.customer_id, rows_of.{{ value }}
    ) as ranked
    where ranked.place = 1
{%- endmacro %}

{#-
  An amount that halves every `half_life` days, exact to nine places, so that sums of it do not
  depend on the order of addition.
-#}
{% macro decayed(expression, age, half_life) -%}
    cast({{ expression }} * power(0.5e0, cast({{ age }} as double) / {{ half_life }}.0e0) as decimal(28, 9))
{%- endmacro %}
