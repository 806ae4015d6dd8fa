{{ config(
    materialized=by_batch(), incremental_strategy='affected', unique_key='order_id',
    meta={'reads': ['points', 'orders']}, pre_hook="{{ find_affected(touched_credits()) }}",
) }}
-- An order of the mall names a buyer, and no member; the CRM's points account says whose it was. An order
-- that names its member says so itself. The pair is known once both rows are, in every version of either.
select
    bought.order_id,
    entry.member_id,
    bought.buyer_id,
    bought.unionid,
    bought.openid,
    entry._event_at,
    greatest(entry._known_at, bought._known_at) as _known_at,
    least(entry._superseded_at, bought._superseded_at) as _superseded_at
from ({{ all_versions('points', key='order_id') }}) as entry
inner join ({{ all_versions('orders', key='order_id') }}) as bought on entry.order_id = bought.order_id
where
    bought.member_id is null
    and coalesce(bought.buyer_id, bought.unionid, bought.openid) is not null
