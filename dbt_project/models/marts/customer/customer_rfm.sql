-- Recency, frequency and money of every customer who ever bought, scored against each other. Recency
-- looks at all history; frequency and money at the last 365 days.
with customers as (
    select
        customer_360.customer_id,
        customer_360.as_of_date,
        customer_360.days_since_last_order as recency_days,
        customer_360.orders_365d as frequency_orders,
        customer_360.net_revenue_365d as monetary_amount,
        customer_360.currency
    from {{ ref('customer_360') }} as customer_360
    where customer_360.orders_lifetime > 0
),

scored as (
    select
        customers.*,
        {{ quintile_score('customers.recency_days desc') }} as recency_score,
        {{ quintile_score('customers.frequency_orders asc') }} as frequency_score,
        {{ quintile_score('customers.monetary_amount asc') }} as monetary_score
    from customers
),

-- The eight segments of recency, frequency and money being high (score 4 or 5) or not.
named as (
    select
        scored.*,
        (case when scored.recency_score >= 4 then 'H' else 'L' end)
        || (case when scored.frequency_score >= 4 then 'H' else 'L' end)
        || (case when scored.monetary_score >= 4 then 'H' else 'L' end) as pattern
    from scored
)

select
    named.customer_id,
    named.as_of_date,
    named.recency_days,
    named.frequency_orders,
    named.monetary_amount,
    named.currency,
    named.recency_score,
    named.frequency_score,
    named.monetary_score,
    cast(named.recency_score as string)
    || cast(named.frequency_score as string)
    || cast(named.monetary_score as string) as rfm_score,
    case named.pattern
        when 'HHH' then 'Champions'
        when 'HLH' then 'Big spenders to develop'
        when 'LHH' then 'Loyal customers going quiet'
        when 'LLH' then 'Big spenders to win back'
        when 'HHL' then 'Regulars with small baskets'
        when 'HLL' then 'Recent customers'
        when 'LHL' then 'Regulars going quiet'
        else 'Hibernating'
    end as segment_en,
    case named.pattern
        when 'HHH' then '重要价值客户'
        when 'HLH' then '重要发展客户'
        when 'LHH' then '重要保持客户'
        when 'LLH' then '重要挽留客户'
        when 'HHL' then '一般价值客户'
        when 'HLL' then '一般发展客户'
        when 'LHL' then '一般保持客户'
        else '一般挽留客户'
    end as segment_zh
from named
