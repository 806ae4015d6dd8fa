{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- One row: since when the retailer has each source. Before that a feature of the source is unknown,
-- not 0; null, and so never, where the retailer lacks it.
select
    {{ began(ref('stg_refund_versions')) }} as refunds,
    {{ began(source('lake', 'order_lines')) }} as lines,
    {{ began(source('lake', 'products'), 'category_l1') }} as categories,
    {{ began(ref('order_version'), 'store_id') }} as stores,
    {{ began(source('lake', 'interactions')) }} as interactions,
    {{ began(source('lake', 'interactions'), 'session_id') }} as sessions,
    {{ began(source('lake', 'messages')) }} as messages,
    {{ began(source('lake', 'contacts')) }} as contacts,
    {{ began(source('lake', 'group_members')) }} as group_members,
    {{ began(source('lake', 'consents')) }} as consents,
    {{ began(source('lake', 'points')) }} as points,
    {{ began(source('lake', 'coupons')) }} as coupons
