{{ config(
    materialized=by_batch(), incremental_strategy='affected', unique_key='userid',
    meta={'reads': ['group_members'], 'identifier': 'userid'},
    pre_hook="{{ find_affected(touched_values('group_members', 'userid')) }}",
) }}
{%- set attributes = ['member_type', 'joined_date', 'join_scene', 'invited_by_staff_id', 'quit_scene'] %}
select
    membership.group_id,
    membership.userid,
    membership.period_no,
    held.customer_id,
    held.customer_id is not null as is_resolved,
    membership.joined_at,
    membership.joined_date,
    membership.join_scene,
    membership.invited_by_staff_id,
    membership.left_at,
    {{ local_date('membership.left_at') }} as left_date,
    membership.quit_scene,
    membership.left_at is null as is_active,
    membership._known_at,
    membership._source
from ({{ periods('group_members', 'joined_at', 'left_at', attributes, 'userid') }}) as membership
left join {{ ref('customer_identifier') }} as held on membership.userid = held.identifier
where membership.member_type = 'customer'
