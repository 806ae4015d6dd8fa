select
    staff_id,
    store_id,
    role,
    status,
    hired_on,
    left_on
from {{ ref('stg_staff') }}
