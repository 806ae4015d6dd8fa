-- Staff in a group (type 1) are left out: this table feeds identity, and they are no customers.
-- A member who stays is in every snapshot, unchanged, and so counts as a duplicate.
SELECT
    chat_id AS group_id,
    ident('wecom', member.userid) AS userid,
    'customer' AS member_type,
    ident('wxopen', member.unionid) AS unionid,
    CASE member.join_scene
        WHEN 1 THEN 'invite' WHEN 2 THEN 'link' WHEN 3 THEN 'qr' ELSE 'unknown'
    END AS join_scene,
    member.invitor.userid AS invited_by_staff_id,
    make_timestamp(member.join_time * 1000000) AS joined_at,
    make_timestamp(member.join_time * 1000000) AS updated_at,
    _file,
    _row
FROM (
    SELECT
        group_chat.chat_id AS chat_id,
        unnest(group_chat.member_list) AS member,
        _file,
        _row
    FROM wecom_groups
) AS answers
WHERE member.type = 2
UNION ALL BY NAME
SELECT
    chat_id AS group_id,
    ident('wecom', userid) AS userid,
    'customer' AS member_type,
    ident('wxopen', unionid) AS unionid,
    CASE join_scene
        WHEN '1' THEN 'invite' WHEN '2' THEN 'link' WHEN '3' THEN 'qr' ELSE 'unknown'
    END AS join_scene,
    local_to_utc(join_time) AS joined_at,
    local_to_utc(leave_time) AS left_at,
    CASE quit_scene WHEN '0' THEN 'self' WHEN '1' THEN 'removed' ELSE quit_scene END AS quit_scene,
    local_to_utc(leave_time) AS updated_at,
    local_to_utc(leave_time) AS recorded_at,
    _file,
    _row
FROM wecom_group_leavers
