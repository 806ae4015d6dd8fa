SELECT
    request.msgid AS message_id,
    ident('wecom', recipient.external_userid) AS external_userid,
    recipient.userid AS staff_id,
    request.campaign_code AS campaign_id,
    request.content_code AS content_id,
    'wecom' AS channel,
    CASE recipient.status
        WHEN 0 THEN 'unsent' WHEN 1 THEN 'sent' WHEN 2 THEN 'not_friend' WHEN 3 THEN 'capped'
        ELSE recipient.status::VARCHAR
    END AS status,
    make_timestamp(request.create_time * 1000000) AS created_at,
    make_timestamp(recipient.send_time * 1000000) AS sent_at,
    make_timestamp(coalesce(recipient.send_time, request.create_time) * 1000000) AS updated_at,
    make_timestamp(coalesce(recipient.send_time, request.create_time) * 1000000) AS recorded_at,
    _file,
    _row
FROM (
    SELECT
        request,
        unnest(response.send_list) AS recipient,
        _file,
        _row
    FROM wecom_msg_results
) AS answers
