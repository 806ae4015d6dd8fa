SELECT
    feedback_no AS feedback_id,
    ident('crm', member_no) AS member_id,
    order_no AS order_id,
    sku AS product_id,
    channel,
    stars AS rating,
    content AS text,
    local_to_utc(submit_time) AS submitted_at,
    _file,
    _row
FROM crm_feedback
