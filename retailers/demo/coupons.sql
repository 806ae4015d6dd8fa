SELECT
    coupon_no AS coupon_id,
    ident('crm', member_no) AS member_id,
    activity_code AS campaign_id,
    CASE kind WHEN '满减券' THEN 'amount' WHEN '折扣券' THEN 'percent' WHEN '礼品券' THEN 'gift' ELSE kind
    END AS type,
    face_value,
    threshold AS threshold_amount,
    'CNY' AS currency,
    CASE state
        WHEN '已发放' THEN 'issued' WHEN '已核销' THEN 'redeemed' WHEN '已过期' THEN 'expired'
        ELSE state
    END AS status,
    order_no AS order_id,
    local_to_utc(issue_time) AS issued_at,
    local_to_utc(expire_time) AS expires_at,
    local_to_utc(use_time) AS redeemed_at,
    local_to_utc(update_time) AS updated_at,
    local_to_utc(update_time) AS recorded_at,
    _file,
    _row
FROM crm_coupons
