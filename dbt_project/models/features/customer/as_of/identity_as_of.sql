-- Identifiers that belonged to another customer than now on some feature date of the run, as it was known
-- then: one row per customer in turn, the current one among them, with the feature dates from which and
-- until which it held. All other identifiers always belonged to the customer they belong to now.
with stay as (
    select
        stays.identifier,
        stays.customer_id,
        stays.is_current,
        case
            when stays.held_from_date is null
                then (select min(dates.as_of_date) from {{ ref('feature_date') }} as dates)
            else {{ first_feature_date_on('stays.held_from_date') }}
        end as counts_from,
        {{ first_feature_date_on('stays.held_until_date') }} as counts_until
    from {{ ref('identity_stay') }} as stays
),

counted as (
    select *
    from stay
    where counts_until > counts_from or (counts_until is null and counts_from is not null)
)

select
    identifier,
    customer_id,
    counts_from,
    counts_until
from counted
where
    identifier in (
        select earlier.identifier from counted as earlier
        where not earlier.is_current
    )
