with spine as (
    {{ every_day(
        date_literal(var('history_from')),
        date_literal((var('as_of_date')[:4] | int + 1) ~ '-12-31')
    ) }}
),

numbered as (
    select
        date_day,
        {{ day_of_week('date_day') }} as day_of_week
    from spine
)

select
    date_day,
    cast(extract(year from date_day) as bigint) as year,
    cast(extract(quarter from date_day) as bigint) as quarter,
    cast(extract(month from date_day) as bigint) as month,
    cast(extract(day from date_day) as bigint) as day_of_month,
    day_of_week,
    {{ weekday_name('day_of_week', 'en') }} as weekday_en,
    {{ weekday_name('day_of_week', 'zh') }} as weekday_zh,
    day_of_week >= 6 as is_weekend,
    {{ period_start('week', 'date_day') }} as week_start,
    {{ period_start('month', 'date_day') }} as month_start,
    {{ period_start('quarter', 'date_day') }} as quarter_start,
    {{ period_start('year', 'date_day') }} as year_start
from numbered
