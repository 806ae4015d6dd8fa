select
    product_id,
    name,
    category_l1,
    category_l2,
    brand,
    list_price,
    cost_price,
    currency,
    unit,
    status,
    launched_on,
    false as is_derived,
    _source,
    _known_at
from ({{ latest_versions('products') }}) as master
union all
select
    product_id,
    name,
    cast(null as string) as category_l1,
    cast(null as string) as category_l2,
    cast(null as string) as brand,
    cast(null as decimal(18, 4)) as list_price,
    cast(null as decimal(18, 4)) as cost_price,
    currency,
    cast(null as string) as unit,
    cast(null as string) as status,
    cast(null as date) as launched_on,
    true as is_derived,
    _source,
    _known_at
from {{ ref('stg_products_from_lines') }}
