{{ config(
    materialized=by_batch(), incremental_strategy='affected', unique_key='order_id',
    meta={'reads': ['orders', 'order_lines']}, pre_hook="{{ find_affected(touched_orders()) }}",
) }}
-- Headers of orders that are known by their lines only. Lines of one document may arrive or change at
-- different moments; each such moment makes a new version of the order, from the lines that counted
-- then. A document without any sale line, such as a credit note, is not an order.
with headerless_line as (
    select version.*
    from ({{ all_versions('order_lines', key='order_id') }}) as version
    where not exists (
        select 1 from {{ source('lake', 'orders') }} as header
        where header.order_id = version.order_id
    )
),

moment as (
    select
        arrival.order_id,
        arrival._known_at,
        lead(arrival._known_at) over (partition by arrival.order_id order by arrival._known_at)
            as _superseded_at
    from (
        select distinct
            headerless_line.order_id,
            headerless_line._known_at
        from headerless_line
    ) as arrival
)

select
    moment.order_id,
    max(line.member_id) as member_id,
    max(line.store_id) as store_id,
    coalesce(max(line.channel), 'other') as channel,
    {{ money("sum(case when line.line_type = 'sale' then line.gross_amount else 0 end)") }}
        as gross_amount,
    {{ money("sum(case when line.line_type = 'sale' then line.discount_amount else 0 end)") }}
        as discount_amount,
    {{ money("sum(case when line.line_type = 'sale' then line.net_amount else 0 end)") }} as net_amount,
    {{ money("sum(case when line.line_type = 'charge' then line.net_amount else 0 end)") }}
        as shipping_amount,
    max(line.currency) as currency,
    max(line.country) as country,
    min(line.ordered_at) as ordered_at,
    min(line.ordered_date) as ordered_date,
    min(line._source) as _source,
    min(line._event_at) as _event_at,
    min(line._event_date) as _event_date,
    moment._known_at,
    max(line._loaded_at) as _loaded_at,
    moment._superseded_at
from moment
inner join headerless_line as line
    on
        moment.order_id = line.order_id
        and moment._known_at >= line._known_at
        and (line._superseded_at is null or line._superseded_at > moment._known_at)
group by moment.order_id, moment._known_at, moment._superseded_at
having max(case when line.line_type = 'sale' then 1 else 0 end) = 1
