{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- Every member, order and points entry that one of the two systems holds and the other should, and why it
-- is not there; no reason where it is. The ERP, here, is whatever sells: tills, mall, mini-program. The CRM
-- holds members, points and coupons. What the other system had not yet begun to hold is not missed, and what
-- is younger than a few days is on its way.
{%- set days_under_way = 3 %}
with entry as (
    select
        point_entry.entry_id,
        point_entry.member_id,
        point_entry.customer_id,
        point_entry.order_id,
        point_entry.occurred_date
    from {{ ref('fct_point_entry') }} as point_entry
    where
        (point_entry.reason = 'purchase' or (point_entry.reason is null and point_entry.order_id is not null))
        and point_entry.occurred_date <= {{ as_of_date() }}
),

began as (
    select
        points.since as points_since,
        sales.since as sales_since,
        members.known_members
    from (select min(entry.occurred_date) as since from entry) as points
    cross join (select min(placed.ordered_date) as since from {{ ref('fct_order') }} as placed) as sales
    cross join (select count(*) as known_members from {{ ref('stg_members') }}) as members
),

-- Orders that the CRM knows of, by points or by a coupon used on them.
crm_order as (
    select
        known.order_id,
        min(known.known_date) as known_date
    from (
        select
            entry.order_id,
            entry.occurred_date as known_date
        from entry
        union all
        select
            coupon.order_id,
            coalesce(coupon.redeemed_date, coupon.issued_date) as known_date
        from {{ ref('stg_coupons') }} as coupon
        where coupon.status = 'redeemed'
    ) as known
    where known.order_id is not null and known.known_date <= {{ as_of_date() }}
    group by known.order_id
),

credited as (
    select distinct
        entry.order_id,
        entry.customer_id
    from entry
    where entry.order_id is not null
),

crm_customer as (
    select distinct held.customer_id
    from {{ ref('stg_members') }} as member
    inner join {{ ref('customer_identifier') }} as held on member.member_id = held.identifier
    where held.customer_id is not null
),

-- Counted orders worth something of customers who were members by then.
member_order as (
    select
        placed.order_id,
        placed.customer_id,
        placed.ordered_date
    from {{ ref('fct_order') }} as placed
    inner join {{ ref('dim_customer') }} as customer on placed.customer_id = customer.customer_id
    cross join began
    where
        placed.is_counted
        and placed.net_amount > 0
        and customer.is_member
        and (customer.registered_date is null or customer.registered_date <= placed.ordered_date)
        and placed.ordered_date between began.points_since and {{ as_of_date() }}
),

found as (
    select
        'members' as kind,
        'erp_to_crm' as direction,
        named.member_id as record_id,
        named.customer_id,
        named.ordered_date as record_date,
        case when member.member_id is null then 'member_unknown_to_crm' end as reason,
        true as is_absent
    from (
        select
            placed.identifier as member_id,
            min(placed.customer_id) as customer_id,
            min(placed.ordered_date) as ordered_date
        from {{ ref('fct_order') }} as placed
        where placed.resolved_by = 'member_id' and placed.ordered_date <= {{ as_of_date() }}
        group by placed.identifier
    ) as named
    cross join began
    left join {{ ref('stg_members') }} as member on named.member_id = member.member_id
    where began.known_members > 0
    union all
    select
        'members' as kind,
        'crm_to_erp' as direction,
        named.member_id as record_id,
        named.customer_id,
        named.occurred_date as record_date,
        case when buyer.customer_id is null then 'no_order_of_member' end as reason,
        true as is_absent
    from (
        select
            entry.member_id,
            min(entry.customer_id) as customer_id,
            min(entry.occurred_date) as occurred_date
        from entry
        group by entry.member_id
    ) as named
    cross join began
    left join (
        select distinct placed.customer_id
        from {{ ref('fct_order') }} as placed
        where placed.customer_id is not null
    ) as buyer on named.customer_id = buyer.customer_id
    where named.occurred_date >= began.sales_since
    union all
    select
        'orders' as kind,
        'erp_to_crm' as direction,
        member_order.order_id as record_id,
        member_order.customer_id,
        member_order.ordered_date as record_date,
        case
            when crm_order.order_id is not null then null
            when crm_customer.customer_id is null then 'member_unknown_to_crm'
            else 'order_unknown_to_crm'
        end as reason,
        true as is_absent
    from member_order
    left join crm_order on member_order.order_id = crm_order.order_id
    left join crm_customer on member_order.customer_id = crm_customer.customer_id
    union all
    select
        'orders' as kind,
        'crm_to_erp' as direction,
        crm_order.order_id as record_id,
        placed.customer_id,
        crm_order.known_date as record_date,
        case when placed.order_id is null then 'order_unknown_to_erp' end as reason,
        true as is_absent
    from crm_order
    cross join began
    left join {{ ref('fct_order') }} as placed on crm_order.order_id = placed.order_id
    where crm_order.known_date >= began.sales_since
    union all
    select
        'points' as kind,
        'erp_to_crm' as direction,
        member_order.order_id as record_id,
        member_order.customer_id,
        member_order.ordered_date as record_date,
        case
            when own.order_id is not null then null
            when anybodys.order_id is not null then 'points_of_another_customer'
            when crm_customer.customer_id is null then 'member_unknown_to_crm'
            else 'no_points_for_order'
        end as reason,
        anybodys.order_id is null as is_absent
    from member_order
    left join credited as own
        on member_order.order_id = own.order_id and member_order.customer_id = own.customer_id
    left join (select distinct credited.order_id from credited) as anybodys
        on member_order.order_id = anybodys.order_id
    left join crm_customer on member_order.customer_id = crm_customer.customer_id
    union all
    select
        'points' as kind,
        'crm_to_erp' as direction,
        entry.entry_id as record_id,
        entry.customer_id,
        entry.occurred_date as record_date,
        case
            when entry.order_id is null then 'points_without_order'
            when placed.order_id is null then 'order_unknown_to_erp'
            when not placed.is_counted then 'order_not_counted'
            when placed.customer_id <> entry.customer_id then 'points_of_another_customer'
        end as reason,
        entry.order_id is not null and placed.order_id is null as is_absent
    from entry
    cross join began
    left join {{ ref('fct_order') }} as placed on entry.order_id = placed.order_id
    where entry.occurred_date >= began.sales_since
)

select
    found.kind,
    found.direction,
    found.record_id,
    found.customer_id,
    found.record_date,
    {{ days_between('found.record_date', as_of_date()) }} as age_days,
    case
        when
            found.reason is not null
            and found.is_absent
            and {{ days_between('found.record_date', as_of_date()) }} < {{ days_under_way }}
            then 'not_yet_synchronised'
        else found.reason
    end as reason
from found
