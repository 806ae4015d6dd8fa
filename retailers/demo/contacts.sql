-- The API knows contacts that last; the export of lost contacts says when the others ended. WeCom
-- counts seconds in UTC, the export writes Beijing time.
SELECT
    ident('wecom', contact.external_contact.external_userid) AS external_userid,
    contact.follow_info.userid AS staff_id,
    ident('wxopen', contact.external_contact.unionid) AS unionid,
    contact.external_contact.name AS name,
    contact.follow_info.remark_mobiles[1] AS remark_phone,
    CASE contact.external_contact.gender WHEN 1 THEN 'male' WHEN 2 THEN 'female' ELSE 'unknown' END
        AS gender,
    contact.follow_info.add_way AS add_way,
    contact.follow_info.state AS channel_state,
    array_to_string(contact.follow_info.tag_id, ',') AS tags,
    make_timestamp(contact.follow_info.createtime * 1000000) AS added_at,
    make_timestamp(contact.follow_info.createtime * 1000000) AS updated_at,
    make_timestamp(contact.follow_info.createtime * 1000000) AS recorded_at,
    _file,
    _row
FROM (
    SELECT
        unnest(external_contact_list) AS contact,
        _file,
        _row
    FROM wecom_contacts
) AS answers
UNION ALL BY NAME
SELECT
    ident('wecom', external_userid) AS external_userid,
    userid AS staff_id,
    ident('wxopen', unionid) AS unionid,
    nickname AS name,
    remark_mobile AS remark_phone,
    CASE gender WHEN '1' THEN 'male' WHEN '2' THEN 'female' ELSE 'unknown' END AS gender,
    add_way,
    state AS channel_state,
    tag_id AS tags,
    local_to_utc(add_time) AS added_at,
    local_to_utc(lost_time) AS deleted_at,
    CASE lost_type
        WHEN '客户删除员工' THEN 'customer' WHEN '员工删除客户' THEN 'staff' WHEN '客户转接' THEN 'transfer'
        ELSE lost_type
    END AS deleted_by,
    local_to_utc(lost_time) AS updated_at,
    local_to_utc(lost_time) AS recorded_at,
    _file,
    _row
FROM wecom_lost_contacts
