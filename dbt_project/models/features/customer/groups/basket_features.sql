{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- What was in the baskets of the last 365 days before each date, with the products' categories as they
-- were known then. Lines are added up by product first: a tenth of the rows meets the products. That
-- join is an inner one, because an outer join on a time condition compares every row with every other.
with bought as (
    select
        orders.as_of_date,
        orders.as_of,
        orders.customer_id,
        lines.product_id,
        sum(lines.quantity) as units
    from ({{ all_versions('order_lines') }}) as lines
    inner join {{ ref('order_as_of') }} as orders
        on
            lines.order_id = orders.order_id
            and {{ counted_at('orders.as_of', 'lines') }}
    where
        lines.line_type = 'sale'
        and orders.is_counted
        and orders.customer_id is not null
        and orders.age_days < 365
    group by orders.as_of_date, orders.as_of, orders.customer_id, lines.product_id
),

basket as (
    select
        as_of_date,
        customer_id,
        count(product_id) as products_365d,
        sum(units) as units_365d
    from bought
    group by as_of_date, customer_id
),

category as (
    select
        bought.as_of_date,
        bought.customer_id,
        count(distinct products.category_l1) as categories_365d
    from bought
    inner join ({{ all_versions('products') }}) as products
        on
            bought.product_id = products.product_id
            and {{ counted_at('bought.as_of', 'products') }}
    group by bought.as_of_date, bought.customer_id
)

select
    basket.as_of_date,
    basket.customer_id,
    basket.products_365d,
    coalesce(category.categories_365d, 0) as categories_365d,
    basket.units_365d
from basket
left join category
    on
        basket.as_of_date = category.as_of_date
        and basket.customer_id = category.customer_id
