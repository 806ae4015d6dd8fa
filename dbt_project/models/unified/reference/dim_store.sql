select
    store_id,
    name,
    type,
    province,
    city,
    opened_on,
    closed_on,
    is_derived
from {{ ref('stg_stores') }}
