{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Who is labelled on which day: on every date that has features, each customer with a counted order
-- up to then, as all data known now tells it, with the day of their last one. Customers are those that
-- were known on the day, as in the features; beside each stands who that is now, whose later orders
-- tell the label. On DuckDB only what the run makes anew (macros/incremental/labels.sql): everybody on
-- some dates, some customers on all others.
{%- set features, orders = ref('customer_features'), ref('fct_order') %}
with bought as (
    {%- if target.type == 'duckdb' %}
    select
        dates.as_of_date,
        orders.identifier,
        orders.customer_id,
        orders.ordered_date
    from label_date as dates
    inner join {{ orders }} as orders on orders.ordered_date <= dates.as_of_date
    where dates.is_whole and orders.is_counted
    union all
    select
        dates.as_of_date,
        orders.identifier,
        orders.customer_id,
        orders.ordered_date
    from label_date as dates
    inner join {{ orders }} as orders on orders.ordered_date <= dates.as_of_date
    where
        not dates.is_whole
        and orders.is_counted
        and orders.customer_id in (select customer_id from relabelled_customer)
    {%- else %}
    select
        dates.as_of_date,
        orders.identifier,
        orders.customer_id,
        orders.ordered_date
    from (select distinct features.as_of_date from {{ features }} as features) as dates
    inner join {{ orders }} as orders on orders.ordered_date <= dates.as_of_date
    where orders.is_counted
    {%- endif %}
)

select
    bought.as_of_date,
    coalesce(stay.customer_id, bought.customer_id) as customer_id,
    bought.customer_id as current_customer_id,
    max(bought.ordered_date) as last_order_date
from bought
left join {{ ref('identity_stay') }} as stay on bought.identifier = stay.identifier
where
    bought.customer_id is not null
    and (stay.held_from_date is null or stay.held_from_date <= bought.as_of_date)
    and (stay.held_until_date is null or stay.held_until_date > bought.as_of_date)
group by bought.as_of_date, coalesce(stay.customer_id, bought.customer_id), bought.customer_id
