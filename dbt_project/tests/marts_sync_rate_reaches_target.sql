{{ config(severity='warn', meta={"dagster": {"ref": {"name": "sync_rate"}}}) }}
-- In each of the last four complete weeks both systems hold what the other does, but for the share that
-- retailer.yaml allows (gates: min_sync_rate). marts.sync_unmatched lists what they do not.
select
    rates.week_start,
    rates.kind,
    rates.direction,
    rates.sync_rate
from {{ ref('sync_rate') }} as rates
where
    rates.is_complete_week
    and rates.week_start > {{ add_days(as_of_date(), -34) }}
    and not rates.is_on_target
