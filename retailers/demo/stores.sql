SELECT
    store_code AS store_id,
    name,
    kind AS type,
    province,
    city,
    open_date AS opened_on,
    _file,
    _row
FROM erp_stores
