SELECT
    content_code AS content_id,
    kind AS type,
    title,
    sku AS product_id,
    activity_code AS campaign_id,
    local_to_utc(create_time) AS created_at,
    local_to_utc(update_time) AS updated_at,
    local_to_utc(update_time) AS recorded_at,
    _file,
    _row
FROM marketing_content
