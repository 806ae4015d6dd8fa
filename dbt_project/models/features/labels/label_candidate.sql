{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Who is labelled on which day: on every date that has features, each customer with a counted order
-- up to then, as all data known now tells it, with the day of their last one.
select
    dates.as_of_date,
    orders.customer_id,
    max(orders.ordered_date) as last_order_date
from (select distinct features.as_of_date from {{ ref('customer_features') }} as features) as dates
inner join {{ ref('fct_order') }} as orders
    on orders.ordered_date <= dates.as_of_date
where orders.is_counted and orders.customer_id is not null
group by dates.as_of_date, orders.customer_id
