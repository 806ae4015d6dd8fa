{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- What was in the baskets of the last 365 days before each date, with the products' categories as they
-- were known then.
select
    orders.as_of_date,
    orders.customer_id,
    count(distinct lines.product_id) as products_365d,
    count(distinct products.category_l1) as categories_365d,
    sum(lines.quantity) as units_365d
from ({{ all_versions('order_lines') }}) as lines
inner join {{ ref('order_as_of') }} as orders
    on
        lines.order_id = orders.order_id
        and {{ counted_at('orders.as_of', 'lines') }}
left join ({{ all_versions('products') }}) as products
    on
        lines.product_id = products.product_id
        and {{ counted_at('orders.as_of', 'products') }}
where
    lines.line_type = 'sale'
    and orders.is_counted
    and orders.customer_id is not null
    and orders.age_days < 365
group by orders.as_of_date, orders.customer_id
