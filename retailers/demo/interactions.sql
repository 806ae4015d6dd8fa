-- The server's clock counts; clients' clocks are often wrong. What was logged late is known late.
SELECT
    event_id,
    event_name,
    'mini_program' AS channel,
    ident('crm', user_id) AS member_id,
    ident('wxa', openid) AS openid,
    ident('wxopen', unionid) AS unionid,
    session_id,
    scene,
    path AS page,
    query.goods_id AS product_id,
    query.campaign_id AS campaign_id,
    ident('wxa', share_from_openid) AS share_from_openid,
    make_timestamp(server_ts * 1000) AS occurred_at,
    make_timestamp(log_ts * 1000) AS recorded_at,
    _file,
    _row
FROM mini_events
