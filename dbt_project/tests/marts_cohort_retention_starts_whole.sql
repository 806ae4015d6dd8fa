{{ config(meta={"dagster": {"ref": {"name": "cohort_retention"}}}) }}
-- In its first month every customer of a cohort is active, and the cohorts together are all customers
-- who ever bought.
select
    cohorts.cohort_month,
    cohorts.customers,
    cohorts.active_customers
from {{ ref('cohort_retention') }} as cohorts
where cohorts.months_since = 0 and cohorts.customers <> cohorts.active_customers
union all
select
    cast(null as date) as cohort_month,
    totals.customers,
    buyers.customers as active_customers
from (
    select coalesce(sum(cohorts.customers), 0) as customers
    from {{ ref('cohort_retention') }} as cohorts
    where cohorts.months_since = 0
) as totals
cross join (
    select count(*) as customers
    from {{ ref('customer_360') }} as customer_360
    where customer_360.orders_lifetime > 0
) as buyers
where totals.customers <> buyers.customers
