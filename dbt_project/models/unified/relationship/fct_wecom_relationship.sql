{{ config(
    materialized=by_batch(), incremental_strategy='affected', unique_key='external_userid',
    meta={'reads': ['contacts'], 'identifier': 'external_userid'},
    pre_hook="{{ find_affected(touched_values('contacts', 'external_userid')) }}",
) }}
-- An accumulating snapshot: a relationship is one row, whose milestones are filled in as they come.
{%- set attributes = ['added_date', 'add_way', 'channel_state', 'tags', 'remark_phone_token', 'deleted_by'] %}
with relationship as (
    {{ periods('contacts', 'added_at', 'deleted_at', attributes, 'external_userid') }}
),

-- WeCom tells the one that a customer is taken from him, the other that she is assigned one (add_way
-- 202); neither is told who the other is. Both happen at once, or within the day that the customer
-- has to refuse.
handed_over as (
    select
        gave.external_userid,
        gave.staff_id as from_staff_id,
        gave.period_no as from_period_no,
        took.staff_id as to_staff_id,
        took.period_no as to_period_no,
        row_number() over (
            partition by gave.external_userid, gave.staff_id, gave.period_no
            order by abs({{ seconds_between('gave.deleted_at', 'took.added_at') }}), took.staff_id
        ) as taker_choice,
        row_number() over (
            partition by took.external_userid, took.staff_id, took.period_no
            order by abs({{ seconds_between('gave.deleted_at', 'took.added_at') }}), gave.staff_id
        ) as giver_choice
    from relationship as gave
    inner join relationship as took
        on gave.external_userid = took.external_userid and gave.staff_id <> took.staff_id
    where
        gave.deleted_by = 'transfer'
        and took.add_way = '202'
        and abs({{ seconds_between('gave.deleted_at', 'took.added_at') }}) <= 86400
)

select
    relationship.external_userid,
    relationship.staff_id,
    relationship.period_no,
    held.customer_id,
    held.customer_id is not null as is_resolved,
    relationship.added_at,
    relationship.added_date,
    relationship.add_way,
    {{ add_way_name('relationship.add_way', 'en') }} as add_way_en,
    {{ add_way_name('relationship.add_way', 'zh') }} as add_way_zh,
    relationship.channel_state,
    relationship.tags,
    relationship.remark_phone_token is not null as has_remark_phone,
    took.from_staff_id as handed_over_from_staff_id,
    relationship.deleted_at,
    {{ local_date('relationship.deleted_at') }} as deleted_date,
    relationship.deleted_by,
    gave.to_staff_id as handed_over_to_staff_id,
    relationship.deleted_at is null as is_active,
    relationship._known_at,
    relationship._source
from relationship
left join handed_over as gave
    on
        relationship.external_userid = gave.external_userid
        and relationship.staff_id = gave.from_staff_id
        and relationship.period_no = gave.from_period_no
        and gave.taker_choice = 1
        and gave.giver_choice = 1
left join handed_over as took
    on
        relationship.external_userid = took.external_userid
        and relationship.staff_id = took.to_staff_id
        and relationship.period_no = took.to_period_no
        and took.taker_choice = 1
        and took.giver_choice = 1
left join {{ ref('customer_identifier') }} as held on relationship.external_userid = held.identifier
