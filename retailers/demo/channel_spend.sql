SELECT
    row_no AS spend_id,
    spend_date,
    channel,
    activity_code AS campaign_id,
    amount,
    'CNY' AS currency,
    impressions,
    clicks,
    local_to_utc(update_time) AS updated_at,
    local_to_utc(update_time) AS recorded_at,
    _file,
    _row
FROM marketing_channel_spend
