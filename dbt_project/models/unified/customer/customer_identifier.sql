{{ config(pre_hook='{{ note_identity_change() }}') }}
select
    identifier,
    namespace,
    customer_id,
    is_junk,
    known_at,
    updated_run_id
from {{ source('lake', 'customer_identifier') }}
