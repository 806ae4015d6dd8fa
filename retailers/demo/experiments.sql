SELECT
    experiment_code AS experiment_id,
    name,
    hypothesis,
    metric,
    activity_code AS campaign_id,
    start_date AS starts_on,
    end_date AS ends_on,
    local_to_utc(update_time) AS updated_at,
    local_to_utc(update_time) AS recorded_at,
    _file,
    _row
FROM marketing_experiments
