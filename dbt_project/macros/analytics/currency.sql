{#-
  Money of several currencies. Facts keep the currency they came in; whoever adds amounts up converts
  them first, each by the rate of its own day, to the cent's hundredth. An amount without a rate is null,
  and the marts count it apart: never is a rate of 1 assumed.
-#}

{#-
  The join that finds the rate of a row's currency on the day of its amount, as `exchange`.
    alias: a fact with a currency; day: its column of the local day on which the money moved
-#}
{% macro join_exchange_rate(alias, day) -%}
    left join {{ ref('dim_exchange_rate') }} as exchange
        on {{ alias }}.currency = exchange.from_currency and {{ alias }}.{{ day }} = exchange.date_day
{%- endmacro %}

{#- An amount column of a fact that join_exchange_rate was joined to, in the retailer's own currency. -#}
{% macro in_reporting_currency(alias, amount) -%}
    case
        when {{ alias }}.currency = '{{ var("currency") }}' then {{ alias }}.{{ amount }}
        else {{ money(alias ~ '.' ~ amount ~ ' * exchange.rate') }}
    end
{%- endmacro %}

{#- Whether such a row's amounts cannot be converted: no rate of its currency is known for its day. -#}
{% macro is_unconverted(alias) -%}
    ({{ alias }}.currency <> '{{ var("currency") }}' and exchange.rate is null)
{%- endmacro %}

{#- The currency of a group of amounts: null where it has none, and these words where it has several. -#}
{% macro one_currency(expression) -%}
    case
        when min({{ expression }}) = max({{ expression }}) then min({{ expression }})
        when min({{ expression }}) is not null then 'several currencies'
    end
{%- endmacro %}
