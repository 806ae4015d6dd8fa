{#-
  The windows in which labels look for purchases. A task's window is the horizon_days that follow
  as_of_date + lead_days; a task that the retailer has not configured has none, and no labels.
-#}

{#- Settings of one prediction task; empty when the retailer has not configured it. -#}
{% macro task_settings(task) -%}
    {{ return(var('models').get(task) or {}) }}
{%- endmacro %}

{#- The condition that a day lies in the task's window after a date; never without the task. -#}
{% macro in_label_window(day, as_of_date, task) -%}
    {%- set settings = task_settings(task) -%}
    {%- if settings -%}
    {{ day }} > {{ add_days(as_of_date, settings.lead_days) }}
        and {{ day }} <= {{ label_matures_on(as_of_date, task) }}
    {%- else -%}
    1 = 0
    {%- endif -%}
{%- endmacro %}

{#- The last day of the task's window: from then on the label is known. Null without the task. -#}
{% macro label_matures_on(as_of_date, task) -%}
    {%- set settings = task_settings(task) -%}
    {%- if settings -%}
    {{ add_days(as_of_date, settings.lead_days + settings.horizon_days) }}
    {%- else -%}
    cast(null as date)
    {%- endif -%}
{%- endmacro %}

{#- The condition that a customer had bought lately enough for the task, if it asks for that. -#}
{% macro active_on(last_order_date, as_of_date, task) -%}
    {%- set active_days = task_settings(task).get('active_days') -%}
    {%- if active_days is none -%}
    1 = 1
    {%- else -%}
    {{ last_order_date }} > {{ add_days(as_of_date, -active_days) }}
    {%- endif -%}
{%- endmacro %}
