-- The mall nests lines in the trade, in their order; tills number them.
SELECT
    order_no AS order_id,
    line_no,
    'sale' AS line_type,
    sku AS product_id,
    qty AS quantity,
    price_fen * 0.01 AS unit_price,
    (amount_fen + discount_fen) * 0.01 AS gross_amount,
    discount_fen * 0.01 AS discount_amount,
    amount_fen * 0.01 AS net_amount,
    'CNY' AS currency,
    'store' AS channel,
    local_to_utc(sale_time) AS ordered_at,
    local_to_utc(updated_at) AS updated_at,
    local_to_utc(uploaded_at) AS recorded_at,
    _file,
    _row
FROM pos_order_lines
UNION ALL BY NAME
SELECT
    trade.order_info.tid AS order_id,
    line_no,
    'sale' AS line_type,
    item.outer_item_id AS product_id,
    item.num AS quantity,
    try_decimal(item.price) AS unit_price,
    try_decimal(item.total_fee) AS gross_amount,
    try_decimal(item.total_fee) - try_decimal(item.payment) AS discount_amount,
    try_decimal(item.payment) AS net_amount,
    'CNY' AS currency,
    CASE trade.source_info.source.wx_entrance
        WHEN 'merchant_xcx' THEN 'mini_program' ELSE 'mall'
    END AS channel,
    local_to_utc(trade.order_info.created) AS ordered_at,
    local_to_utc(trade.order_info.update_time) AS updated_at,
    local_to_utc(trade.order_info.update_time) AS recorded_at,
    _file,
    _row
FROM (
    SELECT
        full_order_info AS trade,
        unnest(full_order_info.orders) AS item,
        generate_subscripts(full_order_info.orders, 1) AS line_no,
        _file,
        _row
    FROM mall_trades
) AS trades
