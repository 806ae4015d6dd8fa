{{ config(
    materialized=by_batch(), incremental_strategy='batch',
    unique_key='consent_id', meta={'reads': ['consents'], 'identifier': 'identifier'},
) }}
select
    said.consent_id,
    said.identifier,
    held.customer_id,
    held.customer_id is not null as is_resolved,
    said.purpose,
    said.channel,
    said.status,
    said.legal_basis,
    said.policy_version,
    said.captured_by,
    said.evidence_ref,
    said.effective_at,
    said.effective_date,
    said.expires_at,
    said.expires_date,
    said._known_at,
    said._source
from {{ ref('stg_consents') }} as said
left join {{ ref('customer_identifier') }} as held on said.identifier = held.identifier
where {{ is_new('said') }}
