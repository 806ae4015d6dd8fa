SELECT
    experiment_code AS experiment_id,
    ident('wecom', external_userid) AS identifier,
    arm,
    local_to_utc(assign_time) AS assigned_at,
    _file,
    _row
FROM marketing_assignments
