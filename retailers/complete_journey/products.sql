SELECT
    product_id,
    product_type AS name,
    department AS category_l1,
    product_category AS category_l2,
    brand,
    package_size AS unit,
    _file,
    _row
FROM products
