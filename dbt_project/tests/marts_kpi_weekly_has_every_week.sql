-- Weeks follow each other without a gap.
select
    following.week_start,
    following.week_before
from (
    select
        kpi.week_start,
        lag(kpi.week_start) over (order by kpi.week_start) as week_before
    from {{ ref('kpi_weekly') }} as kpi
) as following
where {{ days_between('following.week_before', 'following.week_start') }} <> 7
