-- The mall refunds by its own line id, which no other feed numbers, so its refunds name the order
-- only.
SELECT
    refund_no AS refund_id,
    order_no AS order_id,
    line_no,
    qty AS quantity,
    refund_fen * 0.01 AS amount,
    'CNY' AS currency,
    reason,
    CASE state
        WHEN '0' THEN 'requested' WHEN '1' THEN 'completed' WHEN '9' THEN 'rejected' ELSE state
    END AS status,
    local_to_utc(apply_time) AS requested_at,
    local_to_utc(finish_time) AS refunded_at,
    local_to_utc(updated_at) AS updated_at,
    local_to_utc(uploaded_at) AS recorded_at,
    _file,
    _row
FROM pos_refunds
UNION ALL BY NAME
SELECT
    refund_id,
    tid AS order_id,
    refund_fee AS amount,
    'CNY' AS currency,
    reason,
    CASE status
        WHEN 'WAIT_SELLER_AGREE' THEN 'requested'
        WHEN 'SUCCESS' THEN 'completed'
        WHEN 'SELLER_REFUSE_BUYER' THEN 'rejected'
        ELSE status
    END AS status,
    local_to_utc(created) AS requested_at,
    local_to_utc(success_time) AS refunded_at,
    local_to_utc(modified) AS updated_at,
    local_to_utc(modified) AS recorded_at,
    _file,
    _row
FROM mall_refunds
