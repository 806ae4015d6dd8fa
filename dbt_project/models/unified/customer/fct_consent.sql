{{ config(
    materialized=by_batch(), incremental_strategy='affected', unique_key='consent_id',
    meta={'reads': ['consents'], 'identifier': 'identifier'},
    pre_hook="{{ find_affected(touched_values('consents', 'consent_id')) }}",
) }}
-- The consent ledger. All versions of a statement are kept: what was known on an earlier day must be
-- told as it was, whatever was corrected since.
select
    said.consent_id,
    {%- if may_have_versions('consents') %}
    count(*) over (partition by said.consent_id) + 1 - row_number() over (
        partition by said.consent_id order by {{ newest_first(contract_keys()['consents'].version) }}
    ) as version_no,
    {%- else %}
    cast(1 as bigint) as version_no,
    {%- endif %}
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
    said._superseded_at as superseded_at,
    said._superseded_at is null as is_current,
    said._source
from ({{ all_versions('consents', key='consent_id') }}) as said
left join {{ ref('customer_identifier') }} as held on said.identifier = held.identifier
