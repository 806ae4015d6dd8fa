SELECT
    sku AS product_id,
    name,
    category AS category_l1,
    sub_category AS category_l2,
    brand,
    list_price,
    cost_price,
    'CNY' AS currency,
    unit,
    CASE state WHEN '在售' THEN 'active' WHEN '停产' THEN 'discontinued' ELSE state END AS status,
    launch_date AS launched_on,
    _file,
    _row
FROM erp_products
