{{ config(
    materialized=by_batch(), incremental_strategy='affected', unique_key='identifier',
    meta={'reads': ['members', 'contacts', 'group_members', 'orders', 'order_lines', 'points', 'interactions',
        'coupons', 'feedback', 'messages', 'consents', 'assignments']},
    pre_hook="{{ find_affected(touched_identifiers()) }}",
) }}
-- Every identifier of a customer that any source names, also those that nothing links to others.
with seen as (
    {%- for kind in identifier_kinds() %}
    {{ observed_identifier(kind) }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    identifier,
    {{ namespace_of('identifier') }} as namespace,
    min(first_seen_at) as first_seen_at,
    max(last_seen_at) as last_seen_at,
    min(known_at) as known_at
from seen
group by identifier
having sum(evidence_count) > 0
