with customer as (
    select
        held.customer_id,
        min(case when held.namespace in {{ namespaces_of('member_id') }} then held.identifier end) as member_id,
        count(case when held.namespace in {{ namespaces_of('member_id') }} then 1 end) as member_count,
        count(*) as identifier_count,
        count(case when held.namespace in {{ namespaces_of('phone') }} then 1 end) > 0 as has_phone,
        count(case when held.namespace in {{ namespaces_of('email') }} then 1 end) > 0 as has_email,
        count(case when held.namespace in {{ namespaces_of('unionid') }} then 1 end) > 0 as has_unionid,
        count(case when held.namespace in {{ namespaces_of('openid') }} then 1 end) > 0 as has_openid,
        count(case when held.namespace in {{ namespaces_of('external_userid') }} then 1 end) > 0
            as has_external_userid,
        count(case when held.namespace in {{ namespaces_of('buyer_id') }} then 1 end) > 0 as has_buyer_id,
        min(seen.first_seen_at) as first_seen_at
    from {{ ref('customer_identifier') }} as held
    left join {{ ref('stg_identifier') }} as seen on held.identifier = seen.identifier
    where held.customer_id is not null
    group by held.customer_id
),

membership as (
    select
        member.*,
        held.customer_id,
        row_number() over (
            partition by held.customer_id order by {{ membership_first('member') }}
        ) as choice,
        min(member.registered_at) over (partition by held.customer_id) as first_registered_at,
        min(member.registered_date) over (partition by held.customer_id) as first_registered_date
    from {{ ref('stg_members') }} as member
    inner join {{ ref('customer_identifier') }} as held on member.member_id = held.identifier
    where held.customer_id is not null
),

wecom as (
    select
        customer_id,
        count(distinct staff_id) as staff_count,
        count(distinct case when is_active then staff_id end) as active_staff_count,
        max(case when is_active and choice = 1 then staff_id end) as owner_staff_id,
        min(added_at) as added_at,
        min(added_date) as added_date
    from (
        select
            relationship.*,
            row_number() over (
                partition by relationship.customer_id, relationship.is_active
                order by {{ owner_first('relationship') }}
            ) as choice
        from {{ ref('fct_wecom_relationship') }} as relationship
        where relationship.customer_id is not null
    ) as ranked
    group by customer_id
),

grouped as (
    select
        customer_id,
        count(distinct group_id) as group_count
    from {{ ref('fct_group_membership') }}
    where is_active and customer_id is not null
    group by customer_id
),

bought as (
    select
        customer_id,
        min(ordered_at) as first_order_at,
        min(ordered_date) as first_order_date,
        max(ordered_at) as last_order_at,
        max(ordered_date) as last_order_date
    from {{ ref('fct_order') }}
    where is_counted and customer_id is not null
    group by customer_id
)

select
    customer.customer_id,
    coalesce(membership.member_id, customer.member_id) as member_id,
    customer.member_count > 0 as is_member,
    customer.member_count,
    customer.identifier_count,
    customer.has_phone,
    customer.has_email,
    customer.has_unionid,
    customer.has_openid,
    customer.has_external_userid,
    customer.has_buyer_id,
    membership.gender,
    membership.birth_year,
    coalesce(membership.age_band, {{ age_band('membership.birth_year') }}) as age_band,
    membership.income_band,
    membership.household_size,
    membership.province,
    membership.city,
    membership.country,
    membership.tier,
    membership.status,
    membership.register_channel,
    membership.home_store_id,
    referrer.customer_id as referrer_customer_id,
    membership.first_registered_at as registered_at,
    membership.first_registered_date as registered_date,
    coalesce(wecom.staff_count, 0) as wecom_staff_count,
    coalesce(wecom.active_staff_count, 0) as wecom_active_staff_count,
    coalesce(wecom.active_staff_count, 0) > 0 as is_wecom_friend,
    wecom.owner_staff_id,
    wecom.added_at as wecom_added_at,
    wecom.added_date as wecom_added_date,
    coalesce(grouped.group_count, 0) as group_count,
    customer.first_seen_at,
    {{ local_date('customer.first_seen_at') }} as first_seen_date,
    bought.first_order_at,
    bought.first_order_date,
    bought.last_order_at,
    bought.last_order_date
from customer
left join membership on customer.customer_id = membership.customer_id and membership.choice = 1
left join {{ ref('customer_identifier') }} as referrer on membership.referrer_member_id = referrer.identifier
left join wecom on customer.customer_id = wecom.customer_id
left join grouped on customer.customer_id = grouped.customer_id
left join bought on customer.customer_id = bought.customer_id
