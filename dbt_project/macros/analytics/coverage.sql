{#-
  How much of a fact is tied to a customer: over all of it, and lately beside earlier. What is new shows in
  a share of the whole history only when it is old, so a source that stops naming customers shows in the
  recent share.
-#}

{#- Days of the recent period, and of the earlier one that ends where it begins. -#}
{% macro coverage_periods() -%}
    {%- set recent_from = add_days(as_of_date(), -27) -%}
    {{ return([
        ('recent', recent_from, as_of_date()),
        ('earlier', add_days(as_of_date(), -391), add_days(as_of_date(), -28)),
    ]) }}
{%- endmacro %}

{#- Sums over a fact, all rows and those of each period, and what of them is tied to no customer. -#}
{% macro resolved_sums(name, day, amount='1') -%}
    coalesce(sum({{ amount }}), 0) as {{ name }},
    coalesce(sum(case when not is_resolved then {{ amount }} end), 0) as unresolved_{{ name }}
    {%- for period, since, until in coverage_periods() %},
    sum(case when {{ day }} between {{ since }} and {{ until }} then {{ amount }} end)
        as {{ period }}_{{ name }},
    sum(case when {{ day }} between {{ since }} and {{ until }} and not is_resolved then {{ amount }} else 0 end)
        as {{ period }}_unresolved_{{ name }}
    {%- endfor %}
{%- endmacro %}

{#- The shares that follow from these sums: whole, recent and earlier; null where there is nothing. -#}
{% macro coverages(name, share) -%}
    {%- for prefix in ['', 'recent_', 'earlier_'] %}
    1 - {{ divide(prefix ~ 'unresolved_' ~ name, prefix ~ name) }} as {{ prefix }}{{ share }}_coverage
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
{%- endmacro %}
