select
    event_id,
    event_type,
    customer_id,
    other_customer_id,
    identifier,
    other_identifier,
    rule_id,
    occurred_at,
    run_id
from {{ source('lake', 'identity_event') }}
