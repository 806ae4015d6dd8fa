{#-
  Scores that rank customers against each other.
-#}

{#-
  A score from 1 (lowest) to 5 (highest) by percentile rank. Not ntile: equal values get equal
  scores, and a customer's score does not move because the table was sorted differently.
    order_by: what ranks higher, with its direction, such as "orders asc"
-#}
{% macro quintile_score(order_by) -%}
    cast(least(floor(percent_rank() over (order by {{ order_by }}) * 5) + 1, 5) as bigint)
{%- endmacro %}
