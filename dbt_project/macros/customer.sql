{#-
  What speaks for a customer who has several of something. Current tables and history ask the same
  rules, so that they agree.
-#}

{#- The order of a customer's memberships: an active one speaks for them, then the oldest. -#}
{% macro membership_first(alias) -%}
    case {{ alias }}.status when 'active' then 0 when 'frozen' then 2 when 'closed' then 3 else 1 end,
    case when {{ alias }}.registered_at is null then 1 else 0 end,
    {{ alias }}.registered_at,
    {{ alias }}.member_id
{%- endmacro %}

{#- The order of a customer's living WeCom relationships: the staff added last looks after them. -#}
{% macro owner_first(alias) -%}
    {{ alias }}.added_at desc, {{ alias }}.staff_id
{%- endmacro %}

{#- How much a statement of consent forbids: the higher number wins. -#}
{% macro restriction(status) -%}
    case {{ status }} when 'denied' then 3 when 'withdrawn' then 3 when 'expired' then 2 else 1 end
{%- endmacro %}
