select
    content_id,
    type,
    title,
    product_id,
    campaign_id,
    created_at,
    created_date
from {{ ref('stg_content') }}
