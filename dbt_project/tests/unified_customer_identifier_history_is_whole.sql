-- At every moment since it was known an identifier belonged to one customer: its rows follow on each
-- other in both times, without gap or overlap, and the last one is the current one.
with moved as (
    select
        history.*,
        lead(history.recorded_from) over (
            partition by history.identifier order by history.recorded_from
        ) as next_recorded_from,
        lead(history.effective_from) over (
            partition by history.identifier order by history.recorded_from
        ) as next_effective_from
    from {{ ref('customer_identifier_history') }} as history
    where
        history.identifier in (
            select past.identifier from {{ ref('customer_identifier_history') }} as past
            where not past.is_current
        )
)

select
    identifier,
    recorded_from
from moved
where
    recorded_to is distinct from next_recorded_from
    or effective_to is distinct from next_effective_from
    or is_current <> (next_recorded_from is null)
    or recorded_to <= recorded_from
    or effective_to < effective_from
