{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Churn: no counted order in the horizon_days that follow as_of_date + lead_days, of customers who
-- bought in the active_days up to as_of_date. Others are not labelled: they were gone already.
{%- set task = var('models').get('churn', {}) %}
{%- set lead = task.get('lead_days', 0) %}
{%- set horizon = task.get('horizon_days', 0) %}
{%- set active_days = task.get('active_days') %}
select
    candidates.as_of_date,
    candidates.customer_id,
    case when count(orders.order_id) > 0 then 0 else 1 end as label,
    {{ add_days('candidates.as_of_date', lead + horizon) }} as matures_on
from {{ ref('label_candidate') }} as candidates
left join {{ ref('fct_order') }} as orders
    on
        candidates.customer_id = orders.customer_id
        and orders.is_counted
        and orders.ordered_date > {{ add_days('candidates.as_of_date', lead) }}
        and orders.ordered_date <= {{ add_days('candidates.as_of_date', lead + horizon) }}
{%- if active_days is not none %}
where candidates.last_order_date > {{ add_days('candidates.as_of_date', -active_days) }}
{%- endif %}
group by candidates.as_of_date, candidates.customer_id
