{{ config(
    materialized=by_batch(), incremental_strategy='affected', unique_key='session_key',
    meta={'reads': ['interactions'], 'identifier': 'visitor_id'},
    pre_hook="{{ find_affected(touched_sessions()) }}",
) }}
-- One pass over the events puts each beside the one before and the one after it. Only first and last
-- events of sessions go on from there; a session is the pair of them.
{%- set in_order = '(partition by visitor_id, channel order by occurred_at, event_id)' %}
{%- set by_place = '(partition by visitor_id, channel order by place)' %}
with event as (
    select
        happened.visitor_id,
        happened.channel,
        happened.event_id,
        happened.occurred_at,
        happened.occurred_date,
        happened.page,
        happened.scene,
        happened.campaign_id
    from {{ only_within_affected(ref('fct_interaction')) }} as happened
    where {{ is_session_event('happened') }}
),

ordered as (
    select
        event.*,
        row_number() over {{ in_order }} as place,
        lag(event.occurred_at) over {{ in_order }} as previous_at,
        lead(event.occurred_at) over {{ in_order }} as next_at
    from event
),

edge as (
    select *
    from (
        select
            ordered.*,
            coalesce({{ begins_session('ordered.previous_at', 'ordered.occurred_at') }}, true) as is_first,
            coalesce({{ begins_session('ordered.occurred_at', 'ordered.next_at') }}, true) as is_last
        from ordered
    ) as marked
    where is_first or is_last
),

paired as (
    select
        edge.*,
        lead(edge.occurred_at) over {{ by_place }} as last_at,
        lead(edge.page) over {{ by_place }} as last_page,
        lead(edge.place) over {{ by_place }} as last_place
    from edge
),

session as (
    select
        event_id as session_key,
        visitor_id,
        channel,
        occurred_at as started_at,
        occurred_date as started_date,
        case when is_last then occurred_at else last_at end as ended_at,
        case when is_last then 1 else last_place - place + 1 end as event_count,
        page as entry_page,
        case when is_last then page else last_page end as exit_page,
        scene,
        campaign_id
    from paired
    where is_first
)

select
    session.session_key,
    session.visitor_id,
    held.customer_id,
    held.customer_id is not null as is_resolved,
    session.channel,
    session.started_at,
    session.started_date,
    session.ended_at,
    {{ seconds_between('session.started_at', 'session.ended_at') }} as duration_seconds,
    cast(session.event_count as bigint) as event_count,
    session.entry_page,
    session.exit_page,
    session.scene,
    session.campaign_id,
    session.event_count = 1 as is_bounce,
    {{ is_runaway('session.event_count', 'session.started_at', 'session.ended_at') }} as is_runaway,
    {{ is_employed('staff', 'session.started_date') }} as is_staff
from session
left join {{ ref('customer_identifier') }} as held on session.visitor_id = held.identifier
left join {{ ref('staff_identifier') }} as staff on session.visitor_id = staff.identifier
