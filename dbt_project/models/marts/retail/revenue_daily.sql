-- What was sold and sent back, by local day and by the currency that it was paid in. Refunds are taken
-- off twice, each time once: by the day the money went back, and by the day of the order. An amount in the
-- retailer's own currency is empty where part of it has no rate.
with sales as (
    select
        sale.ordered_date as revenue_date,
        sale.currency,
        count(*) as orders,
        sum(sale.gross_amount) as gross_amount,
        sum(sale.discount_amount) as discount_amount,
        sum(sale.net_amount) as net_sales,
        sum(sale.shipping_amount) as shipping_amount,
        sum(sale.tax_amount) as tax_amount,
        sum(sale.net_amount_reporting) as net_sales_reporting,
        count(case when sale.is_unconverted then 1 end) as unconverted
    from {{ ref('int_sale') }} as sale
    group by sale.ordered_date, sale.currency
),

{%- for name, day in [('refunds', 'refunded_date'), ('returns', 'ordered_date')] %}

{{ name }} as (
    select
        refund.{{ day }} as revenue_date,
        refund.currency,
        sum(refund.amount) as amount,
        sum(refund.amount_reporting) as amount_reporting,
        count(case when refund.is_unconverted then 1 end) as unconverted
    from {{ ref('int_refund') }} as refund
    group by refund.{{ day }}, refund.currency
),
{%- endfor %}

days as (
    {%- for relation in ['sales', 'refunds', 'returns'] %}
    select
        {{ relation }}.revenue_date,
        {{ relation }}.currency
    from {{ relation }}
    {%- if not loop.last %}
    union
    {%- endif %}
    {%- endfor %}
),

added as (
    select
        days.revenue_date,
        days.currency,
        coalesce(sales.orders, 0) as orders,
        coalesce(sales.gross_amount, 0) as gross_amount,
        coalesce(sales.discount_amount, 0) as discount_amount,
        coalesce(sales.net_sales, 0) as net_sales,
        coalesce(sales.shipping_amount, 0) as shipping_amount,
        coalesce(sales.tax_amount, 0) as tax_amount,
        coalesce(refunds.amount, 0) as refunded_amount,
        coalesce(returns.amount, 0) as refunded_by_order_date,
        {%- for relation, amount in [
            ('sales', 'net_sales_reporting'), ('refunds', 'amount_reporting'), ('returns', 'amount_reporting'),
        ] %}
        case when coalesce({{ relation }}.unconverted, 0) = 0 then coalesce({{ relation }}.{{ amount }}, 0) end
            as {{ relation }}_reporting,
        {%- endfor %}
        coalesce(sales.unconverted, 0) as unconverted_orders,
        coalesce(refunds.unconverted, 0) as unconverted_refunds
    from days
    left join sales on days.revenue_date = sales.revenue_date and days.currency = sales.currency
    left join refunds on days.revenue_date = refunds.revenue_date and days.currency = refunds.currency
    left join returns on days.revenue_date = returns.revenue_date and days.currency = returns.currency
)

select
    added.revenue_date,
    added.currency,
    added.orders,
    {{ money('added.gross_amount') }} as gross_amount,
    {{ money('added.discount_amount') }} as discount_amount,
    {{ money('added.net_sales') }} as net_sales,
    {{ money('added.shipping_amount') }} as shipping_amount,
    {{ money('added.tax_amount') }} as tax_amount,
    {{ money('added.refunded_amount') }} as refunded_amount,
    {{ money('added.net_sales - added.refunded_amount') }} as net_revenue,
    {{ money('added.refunded_by_order_date') }} as refunded_amount_by_order_date,
    {{ money('added.net_sales - added.refunded_by_order_date') }} as net_revenue_by_order_date,
    '{{ var("currency") }}' as reporting_currency,
    {{ money('added.sales_reporting') }} as net_sales_reporting,
    {{ money('added.refunds_reporting') }} as refunded_amount_reporting,
    {{ money('added.sales_reporting - added.refunds_reporting') }} as net_revenue_reporting,
    {{ money('added.returns_reporting') }} as refunded_amount_by_order_date_reporting,
    {{ money('added.sales_reporting - added.returns_reporting') }} as net_revenue_by_order_date_reporting,
    added.unconverted_orders,
    added.unconverted_refunds
from added
