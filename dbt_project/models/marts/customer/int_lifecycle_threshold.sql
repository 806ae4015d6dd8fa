{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- One row: how long a customer may be silent before they are at risk, and before they count as lapsed.
-- The retailer's own customers say: three quarters of all gaps between purchases are shorter than the
-- one, 95 % shorter than the other. Null, and so never, where nobody ever bought twice.
select
    {{ percentile('purchase_gap.gap_days', 0.75) }} as at_risk_after_days,
    {{ percentile('purchase_gap.gap_days', 0.95) }} as lapsed_after_days
from {{ ref('int_purchase_gap') }} as purchase_gap
where purchase_gap.gap_days is not null
