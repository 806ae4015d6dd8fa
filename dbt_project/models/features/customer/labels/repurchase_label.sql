{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Repurchase: at least one counted order in the horizon_days that follow as_of_date + lead_days. The
-- amount is what these orders come to after discounts and before refunds: an order that is later sent
-- back was a purchase all the same.
{%- set task = var('models').get('repurchase', {}) %}
{%- set lead = task.get('lead_days', 0) %}
{%- set horizon = task.get('horizon_days', 0) %}
select
    candidates.as_of_date,
    candidates.customer_id,
    case when count(orders.order_id) > 0 then 1 else 0 end as label,
    coalesce(sum(orders.net_amount), 0) as spend,
    {{ add_days('candidates.as_of_date', lead + horizon) }} as matures_on
from {{ ref('label_candidate') }} as candidates
left join {{ ref('fct_order') }} as orders
    on
        candidates.customer_id = orders.customer_id
        and orders.is_counted
        and orders.ordered_date > {{ add_days('candidates.as_of_date', lead) }}
        and orders.ordered_date <= {{ add_days('candidates.as_of_date', lead + horizon) }}
group by candidates.as_of_date, candidates.customer_id
