{{ config(
    materialized=by_batch(), incremental_strategy='affected', unique_key='product_id',
    meta={'reads': ['products', 'order_lines']}, pre_hook="{{ find_affected(touched_products()) }}",
) }}
-- Products that order lines name and the master lacks, under the description used most often.
with described as (
    select
        line.product_id,
        line.description,
        count(*) as lines,
        max(line.currency) as currency,
        min(line._source) as _source,
        min(line._known_at) as _known_at
    from {{ latest_rows('order_lines', 'product_id') }} as line
    where
        line.product_id is not null
        and line.line_type in ('sale', 'return')
        and not exists (
            select 1 from {{ source('lake', 'products') }} as master
            where master.product_id = line.product_id
        )
    group by line.product_id, line.description
),

ranked as (
    select
        product_id,
        description,
        row_number() over (
            partition by product_id
            order by case when description is null then 1 else 0 end asc, lines desc, description asc
        ) as choice,
        max(currency) over (partition by product_id) as currency,
        min(_source) over (partition by product_id) as _source,
        min(_known_at) over (partition by product_id) as _known_at
    from described
)

select
    product_id,
    description as name,
    currency,
    _source,
    _known_at
from ranked
where choice = 1
