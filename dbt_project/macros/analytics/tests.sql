{#-
  Generic tests that marts and features need beside those of macros/tests.
-#}

{#- The column lies between two numbers, both allowed, wherever it is not empty. -#}
{% test between(model, column_name, low, high) %}
select *
from {{ model }}
where {{ column_name }} < {{ low }} or {{ column_name }} > {{ high }}
{% endtest %}
