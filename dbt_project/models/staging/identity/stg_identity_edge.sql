{{ config(
    materialized=by_batch(), incremental_strategy='affected', unique_key='identifier_a',
    meta={'reads': ['members', 'contacts', 'group_members', 'orders', 'order_lines', 'points', 'interactions',
        'coupons', 'feedback', 'messages', 'consents', 'assignments']},
    pre_hook="{{ find_affected(touched_identifiers()) }}",
) }}
-- Identifiers that stood on one row, by the rule that makes them one person. Priority says how far
-- to believe the rule: 40 verified by an order or the CRM, 30 WeChat's own union id or a logged-in
-- session, 20 a phone or e-mail the customer gave, 10 a phone that staff typed into a remark.
{%- set rules = [
    ('member_unionid', 40, 'stg_members', 'member_id', 'unionid'),
    ('member_openid', 40, 'stg_members', 'member_id', 'openid'),
    ('member_phone', 20, 'stg_members', 'member_id', 'phone_token'),
    ('member_email', 20, 'stg_members', 'member_id', 'email_token'),
    ('contact_unionid', 30, 'stg_contacts', 'external_userid', 'unionid'),
    ('contact_remark_phone', 10, 'stg_contacts', 'external_userid', 'remark_phone_token'),
    ('group_unionid', 30, 'stg_group_members', 'external_userid', 'unionid'),
    ('order_member_buyer', 40, 'stg_orders', 'member_id', 'buyer_id'),
    ('order_member_unionid', 40, 'stg_orders', 'member_id', 'unionid'),
    ('order_member_openid', 40, 'stg_orders', 'member_id', 'openid'),
    ('order_buyer_unionid', 40, 'stg_orders', 'buyer_id', 'unionid'),
    ('order_buyer_openid', 40, 'stg_orders', 'buyer_id', 'openid'),
    ('order_unionid_openid', 40, 'stg_orders', 'unionid', 'openid'),
    ('order_member_phone', 20, 'stg_orders', 'member_id', 'phone_token'),
    ('order_buyer_phone', 20, 'stg_orders', 'buyer_id', 'phone_token'),
    ('order_unionid_phone', 20, 'stg_orders', 'unionid', 'phone_token'),
    ('order_openid_phone', 20, 'stg_orders', 'openid', 'phone_token'),
    ('points_member_buyer', 40, 'stg_credited_order', 'member_id', 'buyer_id'),
    ('points_member_unionid', 40, 'stg_credited_order', 'member_id', 'unionid'),
    ('points_member_openid', 40, 'stg_credited_order', 'member_id', 'openid'),
    ('session_member_openid', 30, 'stg_interactions', 'member_id', 'openid'),
    ('session_member_unionid', 30, 'stg_interactions', 'member_id', 'unionid'),
    ('session_unionid_openid', 30, 'stg_interactions', 'unionid', 'openid'),
    ('session_unionid_external', 30, 'stg_interactions', 'unionid', 'external_userid'),
    ('session_member_external', 30, 'stg_interactions', 'member_id', 'external_userid'),
    ('session_openid_external', 30, 'stg_interactions', 'openid', 'external_userid'),
] %}
with observed as (
    select *
    from {{ ref('identity_observation') }}
    {%- if is_incremental() %}
    where {{ names_affected() }}
    {%- endif %}
),

pair as (
    {%- for rule_id, priority, seen_in, one, other in rules %}
    select
        '{{ rule_id }}' as rule_id,
        cast({{ priority }} as bigint) as priority,
        least({{ one }}, {{ other }}) as identifier_a,
        greatest({{ one }}, {{ other }}) as identifier_b,
        evidence_count,
        first_seen_at,
        last_seen_at,
        known_at
    from observed
    where seen_in = '{{ seen_in }}' and {{ one }} is not null and {{ other }} is not null
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    identifier_a,
    identifier_b,
    rule_id,
    priority,
    cast(sum(evidence_count) as bigint) as evidence_count,
    min(first_seen_at) as first_seen_at,
    max(last_seen_at) as last_seen_at,
    min(known_at) as known_at
from pair
where
    identifier_a < identifier_b
    {%- if is_incremental() %}
    and identifier_a in (select key from affected)
    {%- endif %}
group by identifier_a, identifier_b, rule_id, priority
having sum(evidence_count) > 0
