SELECT
    group_chat.chat_id AS group_id,
    group_chat.name AS name,
    group_chat.owner AS owner_staff_id,
    -- The API returns groups that exist; a dismissed one is no longer in its answers.
    'active' AS status,
    make_timestamp(group_chat.create_time * 1000000) AS created_at,
    _file,
    _row
FROM wecom_groups
