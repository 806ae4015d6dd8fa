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
    is_derived
from {{ ref('stg_products') }}
