-- Identifiers that were once known to belong to another customer than now, with each customer in turn
-- and the local days by whose ends that was known. The first has no beginning: some rows tell of days
-- from before their identifier was known.
with moved as (
    select history.*
    from {{ ref('customer_identifier_history') }} as history
    where
        history.identifier in (
            select past.identifier from {{ ref('customer_identifier_history') }} as past
            where not past.is_current
        )
)

select
    identifier,
    customer_id,
    is_current,
    lag({{ local_date('recorded_to') }}) over (partition by identifier order by recorded_from)
        as held_from_date,
    {{ local_date('recorded_to') }} as held_until_date
from moved
