-- One row per state of a membership; the CRM keeps the newest, its extracts keep all.
SELECT
    ident('crm', member_no) AS member_id,
    mobile AS phone,
    email,
    name,
    birthday AS birth_date,
    address,
    ident('wxopen', wx_unionid) AS unionid,
    ident('wxa', wx_openid) AS openid,
    CASE gender WHEN '1' THEN 'male' WHEN '2' THEN 'female' WHEN '0' THEN 'unknown' ELSE gender
    END AS gender,
    province,
    city,
    'CN' AS country,
    level AS tier,
    CASE state WHEN '正常' THEN 'active' WHEN '冻结' THEN 'frozen' WHEN '注销' THEN 'closed' ELSE state
    END AS status,
    CASE reg_channel
        WHEN '门店' THEN 'store' WHEN '小程序' THEN 'mini_program' WHEN '企微活码' THEN 'wecom'
        WHEN '商城' THEN 'mall' ELSE reg_channel
    END AS register_channel,
    reg_store AS home_store_id,
    ident('crm', inviter_no) AS referrer_member_id,
    local_to_utc(reg_time) AS registered_at,
    local_to_utc(update_time) AS updated_at,
    local_to_utc(update_time) AS recorded_at,
    _file,
    _row
FROM crm_members
