-- How much of what one system holds the other holds too, by the week in which it came about. What is on its
-- way is in neither part of the rate.
with weeks as (
    select
        {{ period_start('week', 'record.record_date') }} as week_start,
        record.kind,
        record.direction,
        count(*) as records,
        count(case when record.reason is null then 1 end) as matched,
        count(case when record.reason = 'not_yet_synchronised' then 1 end) as pending
    from {{ ref('int_sync_record') }} as record
    group by {{ period_start('week', 'record.record_date') }}, record.kind, record.direction
)

select
    weeks.week_start,
    weeks.kind,
    weeks.direction,
    weeks.records,
    weeks.matched,
    weeks.pending,
    weeks.records - weeks.matched - weeks.pending as unmatched,
    {{ divide('weeks.matched', 'weeks.records - weeks.pending') }} as sync_rate,
    {{ divide('weeks.matched', 'weeks.records - weeks.pending') }} >= {{ var('min_sync_rate') }} as is_on_target,
    {{ add_days('weeks.week_start', 6) }} <= {{ as_of_date() }} as is_complete_week
from weeks
