{#- Names and bands that more than one model may need. -#}

{#- Name of a weekday (Monday is 1) in English or Chinese. -#}
{% macro weekday_name(day_of_week, language) -%}
    {%- set names = {
        'en': ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'],
        'zh': ['星期一', '星期二', '星期三', '星期四', '星期五', '星期六', '星期日'],
    }[language] -%}
    case {{ day_of_week }}
    {%- for name in names %} when {{ loop.index }} then '{{ name }}'{% endfor %} end
{%- endmacro %}

{#- Age band on the as-of day from a year of birth; null when that is unknown. -#}
{% macro age_band(birth_year) -%}
    {%- set age = '(' ~ var('as_of_date')[:4] ~ ' - ' ~ birth_year ~ ')' -%}
    case
        when {{ age }} < 18 then 'under 18'
        {%- for low, high in [(18, 24), (25, 34), (35, 44), (45, 54), (55, 64)] %}
        when {{ age }} <= {{ high }} then '{{ low }}-{{ high }}'
        {%- endfor %}
        when {{ age }} >= 65 then '65+'
    end
{%- endmacro %}

{#- Whether an order of this status counts: paid for, and not cancelled since. -#}
{% macro is_counted(status) -%}
    {{ status }} in ('paid', 'shipped', 'completed')
{%- endmacro %}
