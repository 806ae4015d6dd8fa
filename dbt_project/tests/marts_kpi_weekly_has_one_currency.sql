{{ config(severity='warn') }}
-- Money is added up as it is: an amount in another currency than the retailer's makes the sums wrong.
select
    orders.currency,
    count(*) as orders
from {{ ref('fct_order') }} as orders
where orders.is_counted and orders.currency <> '{{ var("currency") }}'
group by orders.currency
