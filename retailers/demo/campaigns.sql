SELECT
    activity_code AS campaign_id,
    name,
    CASE kind
        WHEN '大促' THEN 'festival' WHEN '日常' THEN 'regular' WHEN '实验' THEN 'experiment'
        ELSE kind
    END AS type,
    channel,
    objective,
    budget AS budget_amount,
    'CNY' AS currency,
    start_date AS starts_on,
    end_date AS ends_on,
    local_to_utc(update_time) AS updated_at,
    local_to_utc(update_time) AS recorded_at,
    _file,
    _row
FROM marketing_campaigns
