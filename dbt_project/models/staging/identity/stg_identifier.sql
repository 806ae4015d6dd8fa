{{ config(
    materialized=by_batch(), incremental_strategy='untouched',
    meta={'reads': ['members', 'contacts', 'group_members', 'orders', 'order_lines', 'interactions',
        'coupons', 'points', 'feedback', 'messages', 'consents', 'assignments'], 'whole': true},
) }}
-- Every identifier of a customer that any source names, also those that nothing links to others.
with seen as (
    {{ observed_identifier('member_id') }}
    union all {{ observed_identifier('buyer_id') }}
    union all {{ observed_identifier('unionid') }}
    union all {{ observed_identifier('openid') }}
    union all {{ observed_identifier('external_userid') }}
    union all {{ observed_identifier('phone_token') }}
    union all {{ observed_identifier('email_token') }}
    union all {{ observed_identifier('remark_phone_token') }}
    union all {{ seen_identifier('member_id', 'stg_order_lines') }}
    union all {{ seen_identifier('member_id', 'stg_coupons') }}
    union all {{ seen_identifier('member_id', 'stg_points') }}
    union all {{ seen_identifier('member_id', 'stg_feedback') }}
    union all {{ seen_identifier('external_userid', 'stg_messages') }}
    union all {{ seen_identifier('identifier', 'stg_consents') }}
    union all {{ seen_identifier('identifier', 'stg_assignments') }}
)

select
    identifier,
    {{ namespace_of('identifier') }} as namespace,
    min(first_seen_at) as first_seen_at,
    max(last_seen_at) as last_seen_at,
    min(known_at) as known_at
from seen
where {{ is_touched() }}
group by identifier
having sum(evidence_count) > 0
