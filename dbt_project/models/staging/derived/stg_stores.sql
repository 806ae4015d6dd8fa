-- Stores of the master, and those that orders name and it lacks.
select
    store_id,
    name,
    type,
    province,
    city,
    opened_on,
    closed_on,
    false as is_derived,
    _source,
    _known_at
from ({{ latest_versions('stores') }}) as master
union all
select
    sold.store_id,
    cast(null as string) as name,
    cast(null as string) as type,
    cast(null as string) as province,
    cast(null as string) as city,
    cast(null as date) as opened_on,
    cast(null as date) as closed_on,
    true as is_derived,
    min(sold._source) as _source,
    min(sold._known_at) as _known_at
from {{ ref('stg_orders') }} as sold
where
    sold.store_id is not null
    and not exists (
        select 1 from {{ source('lake', 'stores') }} as master
        where master.store_id = sold.store_id
    )
group by sold.store_id
