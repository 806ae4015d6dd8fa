-- Tills write whole fen and their own codes; the mall writes yuan as text and one document a
-- version. Both clocks are Beijing's.
SELECT
    order_no AS order_id,
    ident('crm', member_no) AS member_id,
    mobile AS phone,
    store_code AS store_id,
    clerk AS staff_id,
    'store' AS channel,
    CASE state WHEN 'C' THEN 'completed' WHEN 'V' THEN 'cancelled' ELSE state END AS status,
    total_fen * 0.01 AS gross_amount,
    discount_fen * 0.01 AS discount_amount,
    paid_fen * 0.01 AS net_amount,
    'CNY' AS currency,
    coupon_no AS coupon_id,
    activity_code AS campaign_id,
    'CN' AS country,
    local_to_utc(sale_time) AS ordered_at,
    local_to_utc(sale_time) AS paid_at,
    local_to_utc(sale_time) AS completed_at,
    local_to_utc(updated_at) AS updated_at,
    local_to_utc(uploaded_at) AS recorded_at,
    _file,
    _row
FROM pos_orders
UNION ALL BY NAME
SELECT
    trade.order_info.tid AS order_id,
    ident('yz', trade.buyer_info.yz_open_id) AS buyer_id,
    ident('wxa', trade.buyer_info.outer_user_id) AS openid,
    -- The mall hands phones out encrypted ($…$1$), which joins to nothing.
    CASE
        WHEN trade.buyer_info.buyer_phone NOT LIKE '$%' THEN trade.buyer_info.buyer_phone
    END AS phone,
    trade.order_info.shop_id AS store_id,
    CASE trade.source_info.source.wx_entrance
        WHEN 'merchant_xcx' THEN 'mini_program' ELSE 'mall'
    END AS channel,
    CASE trade.order_info.status
        WHEN 'WAIT_BUYER_PAY' THEN 'unpaid'
        WHEN 'WAIT_SELLER_SEND_GOODS' THEN 'paid'
        WHEN 'WAIT_BUYER_CONFIRM_GOODS' THEN 'shipped'
        WHEN 'TRADE_SUCCESS' THEN 'completed'
        WHEN 'TRADE_CLOSED' THEN 'cancelled'
        ELSE trade.order_info.status
    END AS status,
    -- As text, so that an amount that is none is seen as such.
    trade.pay_info.total_fee AS gross_amount,
    try_decimal(trade.pay_info.total_fee) - try_decimal(trade.pay_info.payment)
    + try_decimal(trade.pay_info.post_fee) AS discount_amount,
    try_decimal(trade.pay_info.payment) - try_decimal(trade.pay_info.post_fee) AS net_amount,
    try_decimal(trade.pay_info.post_fee) AS shipping_amount,
    'CNY' AS currency,
    trade.order_info.coupon_no AS coupon_id,
    trade.order_info.activity_code AS campaign_id,
    ident('wxa', trade.order_info.sharer_openid) AS sharer_openid,
    'CN' AS country,
    local_to_utc(trade.order_info.created) AS ordered_at,
    local_to_utc(trade.order_info.pay_time) AS paid_at,
    local_to_utc(trade.order_info.success_time) AS completed_at,
    local_to_utc(trade.order_info.update_time) AS updated_at,
    local_to_utc(trade.order_info.update_time) AS recorded_at,
    _file,
    _row
FROM (
    SELECT
        full_order_info AS trade,
        _file,
        _row
    FROM mall_trades
) AS trades
