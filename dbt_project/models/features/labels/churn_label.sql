{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Churn: no counted order in the window, under whatever name the customer is known by then, of those who
-- bought in the active_days up to the as-of date. Others are not labelled: they were gone already.
select
    candidates.as_of_date,
    candidates.customer_id,
    case when count(orders.order_id) > 0 then 0 else 1 end as label
from {{ ref('label_candidate') }} as candidates
left join {{ ref('fct_order') }} as orders
    on
        candidates.current_customer_id = orders.customer_id
        and orders.is_counted
        and {{ in_label_window('orders.ordered_date', 'candidates.as_of_date', 'churn') }}
where
    {{ label_matures_on('candidates.as_of_date', 'churn') }} <= {{ as_of_date() }}
    and {{ active_on('candidates.last_order_date', 'candidates.as_of_date', 'churn') }}
group by candidates.as_of_date, candidates.customer_id
