SELECT
    consent_no AS consent_id,
    CASE id_type
        WHEN 'member' THEN ident('crm', id_value)
        WHEN 'wecom' THEN ident('wecom', id_value)
    END AS identifier,
    purpose,
    channel,
    status,
    legal_basis,
    policy_version,
    captured_by,
    evidence AS evidence_ref,
    local_to_utc(effective_time) AS effective_at,
    local_to_utc(record_time) AS recorded_at,
    _file,
    _row
FROM crm_consents
