SELECT
    store_code AS store_id,
    sku AS product_id,
    count_date AS snapshot_date,
    on_hand,
    local_to_utc(update_time) AS updated_at,
    local_to_utc(update_time) AS recorded_at,
    _file,
    _row
FROM erp_inventory
