-- sales_value is what the retailer receives. The loyalty discount and the retailer's match of a
-- coupon lower it; a manufacturer's coupon (coupon_disc) does not, because the manufacturer pays it
-- back, so it is no discount here. Times are UTC already.
SELECT
    basket_id AS order_id,
    'sale' AS line_type,
    product_id,
    CAST(quantity AS DECIMAL(18, 4)) AS quantity,
    CAST(sales_value AS DECIMAL(18, 2))
    + CAST(retail_disc AS DECIMAL(18, 2))
    + CAST(coupon_match_disc AS DECIMAL(18, 2)) AS gross_amount,
    CAST(retail_disc AS DECIMAL(18, 2))
    + CAST(coupon_match_disc AS DECIMAL(18, 2)) AS discount_amount,
    CAST(sales_value AS DECIMAL(18, 2)) AS net_amount,
    'USD' AS currency,
    ident('household', household_id) AS member_id,
    store_id,
    'store' AS channel,
    'US' AS country,
    transaction_timestamp AS ordered_at,
    _file,
    _row
FROM transactions
