{#-
  Which column of which entity names a row of another: every reference of siyu/contracts, and the one
  condition under which it must hold. A missing order makes figures wrong; anything else is only not
  described. A test compares this list with the contracts.
-#}
{% macro integrity_references() -%}
    {{ return([
        {'entity': 'assignments', 'column': 'experiment_id', 'to': 'experiments', 'severity': 'WARN'},
        {'entity': 'contacts', 'column': 'staff_id', 'to': 'staff', 'severity': 'WARN'},
        {'entity': 'coupons', 'column': 'member_id', 'to': 'members', 'severity': 'WARN'},
        {'entity': 'feedback', 'column': 'member_id', 'to': 'members', 'severity': 'WARN'},
        {'entity': 'group_members', 'column': 'group_id', 'to': 'groups', 'severity': 'WARN'},
        {'entity': 'groups', 'column': 'owner_staff_id', 'to': 'staff', 'severity': 'WARN'},
        {'entity': 'interactions', 'column': 'product_id', 'to': 'products', 'severity': 'WARN'},
        {'entity': 'interactions', 'column': 'campaign_id', 'to': 'campaigns', 'severity': 'WARN'},
        {'entity': 'inventory', 'column': 'store_id', 'to': 'stores', 'severity': 'WARN'},
        {'entity': 'inventory', 'column': 'product_id', 'to': 'products', 'severity': 'WARN'},
        {'entity': 'members', 'column': 'home_store_id', 'to': 'stores', 'severity': 'WARN'},
        {'entity': 'messages', 'column': 'campaign_id', 'to': 'campaigns', 'severity': 'WARN'},
        {'entity': 'messages', 'column': 'staff_id', 'to': 'staff', 'severity': 'WARN'},
        {'entity': 'order_lines', 'column': 'order_id', 'to': 'orders', 'severity': 'ERROR',
         'where': "line_type = 'sale'"},
        {'entity': 'order_lines', 'column': 'product_id', 'to': 'products', 'severity': 'WARN',
         'where': "line_type in ('sale', 'return')"},
        {'entity': 'orders', 'column': 'member_id', 'to': 'members', 'severity': 'WARN'},
        {'entity': 'orders', 'column': 'store_id', 'to': 'stores', 'severity': 'WARN'},
        {'entity': 'orders', 'column': 'staff_id', 'to': 'staff', 'severity': 'WARN'},
        {'entity': 'payments', 'column': 'order_id', 'to': 'orders', 'severity': 'ERROR'},
        {'entity': 'points', 'column': 'member_id', 'to': 'members', 'severity': 'WARN'},
        {'entity': 'refunds', 'column': 'order_id', 'to': 'orders', 'severity': 'ERROR'},
        {'entity': 'staff', 'column': 'store_id', 'to': 'stores', 'severity': 'WARN'},
    ]) }}
{%- endmacro %}
