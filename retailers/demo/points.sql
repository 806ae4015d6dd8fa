SELECT
    entry_no AS entry_id,
    ident('crm', member_no) AS member_id,
    change,
    balance AS balance_after,
    CASE reason
        WHEN '消费获得' THEN 'purchase' WHEN '积分兑换' THEN 'redeem' WHEN '退货扣减' THEN 'refund'
        ELSE reason
    END AS reason,
    order_no AS order_id,
    local_to_utc(occur_time) AS occurred_at,
    local_to_utc(record_time) AS recorded_at,
    _file,
    _row
FROM crm_points
