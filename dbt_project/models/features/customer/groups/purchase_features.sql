{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Recency, frequency, money, rhythm and trend of purchases; one row per customer with a counted order
-- before the date, which makes it the population of customer_features. Standard deviations come from
-- exact sums of whole days, so that they do not depend on the order of addition.
with purchases as (
    select orders.*
    from {{ ref('order_as_of') }} as orders
    where orders.is_counted and orders.customer_id is not null
),

purchase_days as (
    select
        purchases.as_of_date,
        purchases.customer_id,
        purchases.ordered_date,
        min(purchases.age_days) as age_days,
        sum(purchases.net_amount) as sales
    from purchases
    group by purchases.as_of_date, purchases.customer_id, purchases.ordered_date
),

sequence as (
    select
        purchase_days.*,
        lag(purchase_days.age_days) over (
            partition by purchase_days.as_of_date, purchase_days.customer_id
            order by purchase_days.ordered_date
        ) - purchase_days.age_days as gap_days,
        lead(purchase_days.age_days) over (
            partition by purchase_days.as_of_date, purchase_days.customer_id
            order by purchase_days.ordered_date
        ) as next_age_days
    from purchase_days
),

rhythm as (
    select
        sequence.as_of_date,
        sequence.customer_id,
        min(sequence.age_days) as recency_days,
        max(sequence.age_days) as tenure_days,
        max(case when sequence.next_age_days is null then sequence.sales end) as last_day_sales,
        max(case when sequence.gap_days is null then sequence.sales end) as first_day_sales,
        max(case when sequence.next_age_days is null then sequence.gap_days end) as last_gap_days,
        count(sequence.gap_days) as gaps,
        sum(sequence.gap_days) as gap_sum,
        sum(sequence.gap_days * sequence.gap_days) as gap_square_sum,
        {{ median('sequence.gap_days') }} as gap_median_days
    from sequence
    group by sequence.as_of_date, sequence.customer_id
),

totals as (
    select
        purchases.as_of_date,
        purchases.customer_id,
        count(*) as order_count,
        {%- for days in [30, 60, 90, 180, 365] %}
        {{ count_younger('purchases.age_days', days) }} as orders_{{ days }}d,
        {%- endfor %}
        sum(purchases.net_amount) as sales,
        {%- for days in [30, 90, 180, 365] %}
        {{ sum_younger('purchases.net_amount', 'purchases.age_days', days) }} as sales_{{ days }}d,
        {%- endfor %}
        max(purchases.net_amount) as max_order_value,
        sum({{ decayed('1', 'purchases.age_days', 60) }}) as orders_ewma,
        sum({{ decayed('purchases.net_amount', 'purchases.age_days', 60) }}) as sales_ewma,
        count(case when purchases.age_days >= 275 and purchases.age_days < 365 then 1 end)
            as orders_season_last_year,
        {{ sum_younger('purchases.gross_amount', 'purchases.age_days', 365) }} as gross_365d,
        {{ sum_younger('purchases.discount_amount', 'purchases.age_days', 365) }} as discount_365d,
        count(
            case when purchases.age_days < 365 and purchases.discount_amount > 0 then 1 end
        ) as discounted_orders_365d,
        count(distinct case when purchases.age_days < 365 then purchases.channel end)
            as channels_365d,
        count(distinct case when purchases.age_days < 365 then purchases.store_id end)
            as stores_365d
    from purchases
    group by purchases.as_of_date, purchases.customer_id
)

select
    totals.*,
    rhythm.recency_days,
    rhythm.tenure_days,
    rhythm.first_day_sales,
    rhythm.last_day_sales,
    rhythm.last_gap_days,
    {{ divide('rhythm.gap_sum', 'rhythm.gaps') }} as gap_mean_days,
    rhythm.gap_median_days,
    case
        when rhythm.gaps > 1
            then sqrt(
                (
                    cast(rhythm.gaps * rhythm.gap_square_sum - rhythm.gap_sum * rhythm.gap_sum as double)
                ) / cast(rhythm.gaps * (rhythm.gaps - 1) as double)
            )
    end as gap_std_days
from totals
inner join rhythm
    on totals.as_of_date = rhythm.as_of_date and totals.customer_id = rhythm.customer_id
