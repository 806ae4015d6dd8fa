{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Every version of every refund; return lines of orders without headers are refunds too.
select
    version.refund_id,
    version.order_id,
    version.member_id,
    version.amount,
    version.status = 'completed' as is_completed,
    coalesce(version.refunded_at, version.requested_at) as refunded_at,
    coalesce(version.refunded_date, version.requested_date) as refunded_date,
    version._event_at,
    version._known_at,
    version._superseded_at
from {{ ref('stg_refund_versions') }} as version
where not version.is_derived
union all
select
    line.order_id || ':' || cast(line.line_no as string) as refund_id,
    line.order_id,
    line.member_id,
    {{ money('-line.net_amount') }} as amount,
    true as is_completed,
    line.ordered_at as refunded_at,
    line.ordered_date as refunded_date,
    line._event_at,
    line._known_at,
    line._superseded_at
from ({{ all_versions('order_lines') }}) as line
where
    line.line_type = 'return'
    and not exists (
        select 1 from {{ source('lake', 'orders') }} as header
        where header.order_id = line.order_id
    )
