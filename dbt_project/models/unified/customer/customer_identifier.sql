{{ config(pre_hook='{{ note_identity_change() }}') }}
-- Facts follow from this table, so it reads nothing that takes in batches: the history says more.
with moved as (
    select
        identifier,
        max(recorded_to) as recorded_from
    from {{ source('lake', 'customer_identifier_past') }}
    group by identifier
)

select
    held.identifier,
    held.namespace,
    held.customer_id,
    held.is_junk,
    held.known_at,
    coalesce(moved.recorded_from, held.known_at) as recorded_from,
    held.updated_run_id
from {{ source('lake', 'customer_identifier') }} as held
left join moved on held.identifier = moved.identifier
