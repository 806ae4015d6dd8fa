{{ config(materialized='table') }}
-- Headers of orders that are known by their lines only. A document without any sale line, such as a
-- credit note, is not an order.
with headerless_line as (
    select line.*
    from {{ ref('stg_order_lines') }} as line
    where not exists (
        select 1 from {{ source('lake', 'orders') }} as header
        where header.order_id = line.order_id
    )
)

select
    order_id,
    max(member_id) as member_id,
    max(store_id) as store_id,
    coalesce(max(channel), 'other') as channel,
    {{ money("sum(case when line_type = 'sale' then gross_amount else 0 end)") }} as gross_amount,
    {{ money("sum(case when line_type = 'sale' then discount_amount else 0 end)") }} as discount_amount,
    {{ money("sum(case when line_type = 'sale' then net_amount else 0 end)") }} as net_amount,
    {{ money("sum(case when line_type = 'charge' then net_amount else 0 end)") }} as shipping_amount,
    max(currency) as currency,
    max(country) as country,
    min(ordered_at) as ordered_at,
    min(ordered_date) as ordered_date,
    min(_source) as _source,
    min(_event_at) as _event_at,
    min(_event_date) as _event_date,
    max(_known_at) as _known_at,
    max(_loaded_at) as _loaded_at
from headerless_line
group by order_id
having max(case when line_type = 'sale' then 1 else 0 end) = 1
