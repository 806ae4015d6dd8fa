{{ config(
    materialized=by_batch(), incremental_strategy='batch', unique_key='event_id',
    meta={'reads': ['interactions'], 'identifier': 'identifier'},
) }}
select
    event.event_id,
    event.event_name,
    event.channel,
    coalesce(
        by_member.customer_id, by_unionid.customer_id, by_external.customer_id, by_openid.customer_id
    ) as customer_id,
    coalesce(
        by_member.customer_id, by_unionid.customer_id, by_external.customer_id, by_openid.customer_id
    ) is not null as is_resolved,
    case
        when by_member.customer_id is not null then event.member_id
        when by_unionid.customer_id is not null then event.unionid
        when by_external.customer_id is not null then event.external_userid
        when by_openid.customer_id is not null then event.openid
    end as identifier,
    {{ visitor_of('event') }} as visitor_id,
    event.session_id,
    event.scene,
    event.page,
    event.product_id,
    event.campaign_id,
    event.content_id,
    event.coupon_id,
    event.staff_id,
    event.store_id,
    event.share_from_openid,
    event.occurred_at,
    event.occurred_date,
    event._known_at,
    event._source
from {{ ref('stg_interactions') }} as event
left join {{ ref('customer_identifier') }} as by_member on event.member_id = by_member.identifier
left join {{ ref('customer_identifier') }} as by_unionid on event.unionid = by_unionid.identifier
left join {{ ref('customer_identifier') }} as by_external on event.external_userid = by_external.identifier
left join {{ ref('customer_identifier') }} as by_openid on event.openid = by_openid.identifier
where {{ is_new('event') }}
