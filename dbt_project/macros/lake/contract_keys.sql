{#- Generated from siyu/contracts by `siyu generate`; edit the contracts. -#}
{#- Each lake entity's key and version column. -#}
{% macro contract_keys() -%}
    {{ return({
        'assignments': {'key': ['experiment_id', 'identifier'], 'version': none},
        'campaigns': {'key': ['campaign_id'], 'version': 'updated_at'},
        'channel_spend': {'key': ['spend_id'], 'version': 'updated_at'},
        'consents': {'key': ['consent_id'], 'version': none},
        'contacts': {'key': ['external_userid', 'staff_id'], 'version': 'updated_at'},
        'content': {'key': ['content_id'], 'version': 'updated_at'},
        'coupons': {'key': ['coupon_id'], 'version': 'updated_at'},
        'exchange_rates': {'key': ['from_currency', 'to_currency', 'rate_date'], 'version': 'updated_at'},
        'experiments': {'key': ['experiment_id'], 'version': 'updated_at'},
        'feedback': {'key': ['feedback_id'], 'version': none},
        'group_members': {'key': ['group_id', 'userid'], 'version': 'updated_at'},
        'groups': {'key': ['group_id'], 'version': 'updated_at'},
        'interactions': {'key': ['event_id'], 'version': none},
        'inventory': {'key': ['store_id', 'product_id', 'snapshot_date'], 'version': 'updated_at'},
        'members': {'key': ['member_id'], 'version': 'updated_at'},
        'messages': {'key': ['message_id', 'external_userid', 'staff_id'], 'version': 'updated_at'},
        'order_lines': {'key': ['order_id', 'line_no'], 'version': 'updated_at'},
        'orders': {'key': ['order_id'], 'version': 'updated_at'},
        'payments': {'key': ['payment_id'], 'version': 'updated_at'},
        'points': {'key': ['entry_id'], 'version': none},
        'products': {'key': ['product_id'], 'version': 'updated_at'},
        'refunds': {'key': ['refund_id'], 'version': 'updated_at'},
        'staff': {'key': ['staff_id'], 'version': 'updated_at'},
        'stores': {'key': ['store_id'], 'version': 'updated_at'}
    }) }}
{%- endmacro %}
