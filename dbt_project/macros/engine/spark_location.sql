{#-
  Where Spark keeps a table: the folder that siyu.warehouse reads and that a later process registers.
  Spark refuses a managed table whose folder exists; one with a given folder overwrites it.
-#}
{% macro spark__location_clause() -%}
    location '{{ var('spark_warehouse') }}/{{ model.schema }}.db/{{ model.alias }}'
{%- endmacro %}
