-- What one unit of a currency is worth in the retailer's own, every day from the first rate known on: a
-- day without a rate has the last one before it. A rate of 0 is none.
with known as (
    select
        from_currency,
        to_currency,
        rate_date,
        rate,
        lead(rate_date) over (partition by from_currency order by rate_date) as until_date
    from {{ ref('stg_exchange_rates') }}
    where to_currency = '{{ var("currency") }}' and from_currency <> to_currency and rate > 0
)

select
    days.date_day,
    known.from_currency,
    known.to_currency,
    known.rate,
    known.rate_date,
    cast({{ days_between('known.rate_date', 'days.date_day') }} as bigint) as age_days
from known
inner join {{ ref('dim_date') }} as days
    on known.rate_date <= days.date_day and (known.until_date is null or days.date_day < known.until_date)
where days.date_day <= {{ as_of_date() }}
