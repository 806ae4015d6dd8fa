{{ config(meta={"dagster": {"ref": {"name": "dim_customer_history"}}}) }}
-- The present row of a customer's history says what dim_customer says; nothing is said of who has none.
select
    now.customer_id,
    now.tier,
    past.tier as tier_in_history,
    now.status,
    past.status as status_in_history,
    now.owner_staff_id,
    past.owner_staff_id as owner_staff_id_in_history
from {{ ref('dim_customer') }} as now
left join {{ ref('dim_customer_history') }} as past on now.customer_id = past.customer_id and past.is_current
where
    now.tier is distinct from past.tier
    or now.status is distinct from past.status
    or now.home_store_id is distinct from past.home_store_id
    or now.city is distinct from past.city
    or now.owner_staff_id is distinct from past.owner_staff_id
