select
    identifier_a,
    identifier_b,
    rule_id,
    priority,
    evidence_count,
    first_seen_at,
    last_seen_at,
    known_at,
    reason,
    capped_namespace,
    customer_id_a,
    customer_id_b
from {{ source('lake', 'identity_refused_edge') }}
