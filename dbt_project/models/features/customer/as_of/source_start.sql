{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- One row: since when the retailer has each source. Before that a feature of the source is unknown,
-- not 0; null, and so never, where the retailer lacks it.
{%- set sources = {
    'refunds': (ref('refund_version'), '1 = 1'),
    'lines': (source('lake', 'order_lines'), '1 = 1'),
    'categories': (source('lake', 'products'), 'rows_of.category_l1 is not null'),
    'stores': (ref('order_version'), 'rows_of.store_id is not null'),
    'interactions': (source('lake', 'interactions'), '1 = 1'),
    'sessions': (source('lake', 'interactions'), 'rows_of.session_id is not null'),
    'messages': (source('lake', 'messages'), '1 = 1'),
    'contacts': (source('lake', 'contacts'), '1 = 1'),
    'group_members': (source('lake', 'group_members'), '1 = 1'),
    'consents': (source('lake', 'consents'), '1 = 1'),
    'points': (source('lake', 'points'), '1 = 1'),
    'coupons': (source('lake', 'coupons'), '1 = 1'),
} %}
select
    {%- for name, (relation, condition) in sources.items() %}
    (
        select min(greatest(rows_of._known_at, coalesce(rows_of._event_at, rows_of._known_at)))
        from {{ relation }} as rows_of
        where {{ condition }}
    ) as {{ name }}
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
