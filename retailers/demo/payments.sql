-- The mall repeats the payment in every version of a trade; as it never changes, the repeats are
-- exact and count as duplicates.
SELECT
    pay_no AS payment_id,
    order_no AS order_id,
    CASE pay_type
        WHEN 'WX' THEN 'wechat' WHEN 'ALI' THEN 'alipay' WHEN 'CARD' THEN 'card'
        WHEN 'CASH' THEN 'cash' ELSE pay_type
    END AS method,
    amount_fen * 0.01 AS amount,
    'CNY' AS currency,
    CASE state WHEN 'S' THEN 'succeeded' WHEN 'F' THEN 'failed' WHEN 'R' THEN 'reversed' ELSE state
    END AS status,
    local_to_utc(pay_time) AS paid_at,
    local_to_utc(pay_time) AS updated_at,
    local_to_utc(uploaded_at) AS recorded_at,
    _file,
    _row
FROM pos_payments
UNION ALL BY NAME
SELECT
    unnest(full_order_info.pay_info.transaction) AS payment_id,
    full_order_info.order_info.tid AS order_id,
    'wechat' AS method,
    try_decimal(full_order_info.pay_info.payment) AS amount,
    'CNY' AS currency,
    'succeeded' AS status,
    local_to_utc(full_order_info.order_info.pay_time) AS paid_at,
    local_to_utc(full_order_info.order_info.pay_time) AS updated_at,
    local_to_utc(full_order_info.order_info.pay_time) AS recorded_at,
    _file,
    _row
FROM mall_trades
