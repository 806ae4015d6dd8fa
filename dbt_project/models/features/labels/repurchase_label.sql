{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Repurchase: at least one counted order in the window, under whatever name the customer is known by
-- then. The amount is what these orders come to after
-- discounts and before refunds: an order that is later sent back was a purchase all the same.
select
    candidates.as_of_date,
    candidates.customer_id,
    case when count(orders.order_id) > 0 then 1 else 0 end as label,
    coalesce(sum(orders.net_amount), 0) as spend
from {{ ref('label_candidate') }} as candidates
left join {{ ref('fct_order') }} as orders
    on
        candidates.current_customer_id = orders.customer_id
        and orders.is_counted
        and {{ in_label_window('orders.ordered_date', 'candidates.as_of_date', 'repurchase') }}
where {{ label_matures_on('candidates.as_of_date', 'repurchase') }} <= {{ as_of_date() }}
group by candidates.as_of_date, candidates.customer_id
