-- What each identifier belonged to, as it was known over time. A link that was taken back never was:
-- all follows from the links that stand now. An identifier without a past belonged to its customer from
-- the first.
with moved as (
    select
        identifier,
        max(effective_to) as effective_from
    from {{ source('lake', 'customer_identifier_past') }}
    group by identifier
)

select
    identifier,
    namespace,
    customer_id,
    effective_from,
    effective_to,
    recorded_from,
    recorded_to,
    false as is_current
from {{ source('lake', 'customer_identifier_past') }}
union all
select
    held.identifier,
    held.namespace,
    held.customer_id,
    coalesce(moved.effective_from, seen.first_seen_at) as effective_from,
    cast(null as timestamp) as effective_to,
    held.recorded_from,
    cast(null as timestamp) as recorded_to,
    true as is_current
from {{ ref('customer_identifier') }} as held
left join {{ ref('stg_identifier') }} as seen on held.identifier = seen.identifier
left join moved on held.identifier = moved.identifier
