{{ config(
    materialized=by_batch(), incremental_strategy='batch',
    unique_key=['message_id', 'external_userid', 'staff_id'], meta={'reads': ['messages'], 'identifier': 'external_userid'},
) }}
select
    message.message_id,
    message.external_userid,
    message.staff_id,
    held.customer_id,
    held.customer_id is not null as is_resolved,
    message.campaign_id,
    message.content_id,
    message.channel,
    message.status,
    message.status = 'sent' as is_sent,
    message.created_at,
    message.created_date,
    message.sent_at,
    message.sent_date,
    message._known_at,
    message._source
from {{ ref('stg_messages') }} as message
left join {{ ref('customer_identifier') }} as held on message.external_userid = held.identifier
where {{ is_new('message') }}
