{{ config(meta={"dagster": {"ref": {"name": "customer_360"}}}) }}
-- Channels on which customer_360 says that marketing may go out are those that contactability says.
select
    customers.customer_id,
    channel.channel
from {{ ref('customer_360') }} as customers
cross join ({{ message_channels() }}) as channel
left join {{ ref('contactability') }} as contactable
    on
        customers.customer_id = contactable.customer_id
        and channel.channel = contactable.channel
        and contactable.purpose = 'marketing'
where
    case channel.channel
        {%- for channel in ['wecom', 'sms', 'email', 'phone', 'mini_program'] %}
        when '{{ channel }}' then customers.is_contactable_{{ channel }}
        {%- endfor %}
    end <> coalesce(contactable.is_contactable, false)
