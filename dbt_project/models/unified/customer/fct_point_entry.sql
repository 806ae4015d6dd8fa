{{ config(
    materialized=by_batch(), incremental_strategy='batch',
    unique_key='entry_id', meta={'reads': ['points'], 'identifier': 'member_id'},
) }}
select
    entry.entry_id,
    entry.member_id,
    held.customer_id,
    held.customer_id is not null as is_resolved,
    entry.change,
    entry.balance_after,
    entry.reason,
    entry.order_id,
    entry.occurred_at,
    entry.occurred_date,
    entry._known_at,
    entry._source
from {{ ref('stg_points') }} as entry
left join {{ ref('customer_identifier') }} as held on entry.member_id = held.identifier
where {{ is_new('entry') }}
