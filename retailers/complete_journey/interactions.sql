-- Two things that are no purchase: a household received a campaign, and it redeemed a coupon of one.
-- Neither has an id, and only redemptions have a day.
SELECT
    'received-' || sent.campaign_id || '-' || sent.household_id AS event_id,
    'campaign_received' AS event_name,
    'direct_mail' AS channel,
    ident('household', sent.household_id) AS member_id,
    sent.campaign_id,
    NULL AS coupon_id,
    local_to_utc(described.start_date) AS occurred_at,
    sent._file,
    sent._row
FROM campaign_recipients AS sent
LEFT JOIN campaign_descriptions AS described ON sent.campaign_id = described.campaign_id
UNION ALL
SELECT
    'redeemed-' || campaign_id || '-' || household_id || '-' || coupon_upc || '-' || redemption_date,
    'coupon_redeemed',
    'store',
    ident('household', household_id),
    campaign_id,
    coupon_upc,
    local_to_utc(redemption_date),
    _file,
    _row
FROM coupon_redemptions
