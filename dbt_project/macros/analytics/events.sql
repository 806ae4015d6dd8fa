{#-
  What kinds of interaction there are. Retailers name their events as their trackers do; a name that
  is not listed here still counts as activity. Add names, do not rename the kinds: features are
  named after them.
-#}

{#-
  The kind of an event: `received` is what reached the customer without their doing and is no
  activity of theirs; `browse`, `cart` and `share` are steps towards a purchase; the rest is `other`.
-#}
{% macro event_kind(event_name) -%}
    {%- set kinds = {
        'received': [
            'campaign_sent', 'campaign_send', 'campaign_received', 'campaign_target',
            'message_sent', 'message_received', 'coupon_received', 'impression',
        ],
        'browse': ['product_view', 'page_view', 'search', 'view_item', 'coupon_view'],
        'cart': ['add_to_cart', 'begin_checkout'],
        'share': ['share'],
    } -%}
    case
        {%- for kind, names in kinds.items() %}
        when lower({{ event_name }}) in ('{{ names | join("', '") }}') then '{{ kind }}'
        {%- endfor %}
        else 'other'
    end
{%- endmacro %}
