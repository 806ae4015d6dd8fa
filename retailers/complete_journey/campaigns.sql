SELECT
    campaign_id,
    'Campaign ' || campaign_id AS name,
    campaign_type AS type,
    'direct_mail' AS channel,
    start_date AS starts_on,
    end_date AS ends_on,
    _file,
    _row
FROM campaign_descriptions
