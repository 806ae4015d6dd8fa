-- What happened on each channel, by ISO week. Every interaction up to the as-of day is in exactly one of
-- the counts of events: in a session that counts, in one that is set aside (staff, runaway), in none as
-- nobody did it (received), or in none as nobody can be told (no identifier). An event is in the week in
-- which its session began.
with session as (
    select
        {{ period_start('week', 'sessions.started_date') }} as week_start,
        sessions.channel,
        sessions.visitor_id,
        sessions.event_count,
        sessions.is_bounce,
        case
            when sessions.is_staff then 'staff'
            when sessions.is_runaway then 'runaway'
            else 'counted'
        end as kind,
        -- A customer of whom only ids of a browser or an app are known is anonymous.
        coalesce(
            customers.is_member or customers.has_phone or customers.has_email
            or customers.has_buyer_id or customers.has_external_userid,
            false
        ) as is_known
    from {{ ref('fct_session') }} as sessions
    left join {{ ref('dim_customer') }} as customers on sessions.customer_id = customers.customer_id
    where sessions.started_date <= {{ as_of_date() }}
),

in_session as (
    select
        session.week_start,
        session.channel,
        count(case when session.kind = 'counted' then 1 end) as sessions,
        count(case when session.kind = 'counted' and session.is_known then 1 end) as known_sessions,
        count(case when session.kind = 'counted' and session.is_bounce then 1 end) as bounced_sessions,
        count(case when session.kind = 'staff' then 1 end) as staff_sessions,
        count(case when session.kind = 'runaway' then 1 end) as runaway_sessions,
        count(distinct case when session.kind = 'counted' then session.visitor_id end) as visitors,
        count(distinct case when session.kind = 'counted' and session.is_known then session.visitor_id end)
            as known_visitors,
        sum(case when session.kind = 'counted' then session.event_count else 0 end) as events,
        sum(case when session.kind = 'counted' and session.is_known then session.event_count else 0 end)
            as known_events,
        sum(case when session.kind = 'staff' then session.event_count else 0 end) as staff_events,
        sum(case when session.kind = 'runaway' then session.event_count else 0 end) as runaway_events
    from session
    group by session.week_start, session.channel
),

in_none as (
    select
        {{ period_start('week', 'happened.occurred_date') }} as week_start,
        happened.channel,
        count(case when {{ event_kind('happened.event_name') }} = 'received' then 1 end) as received_events,
        count(case when {{ event_kind('happened.event_name') }} <> 'received' then 1 end)
            as unidentified_events
    from {{ ref('fct_interaction') }} as happened
    where happened.occurred_date <= {{ as_of_date() }} and not ({{ is_session_event('happened') }})
    group by {{ period_start('week', 'happened.occurred_date') }}, happened.channel
),

week as (
    select
        week_start,
        channel
    from in_session
    union
    select
        week_start,
        channel
    from in_none
)

select
    week.week_start,
    week.channel,
    cast(coalesce(in_session.sessions, 0) as bigint) as sessions,
    cast(coalesce(in_session.known_sessions, 0) as bigint) as known_sessions,
    cast(coalesce(in_session.bounced_sessions, 0) as bigint) as bounced_sessions,
    cast(coalesce(in_session.staff_sessions, 0) as bigint) as staff_sessions,
    cast(coalesce(in_session.runaway_sessions, 0) as bigint) as runaway_sessions,
    cast(coalesce(in_session.visitors, 0) as bigint) as visitors,
    cast(coalesce(in_session.known_visitors, 0) as bigint) as known_visitors,
    cast(coalesce(in_session.events, 0) as bigint) as events,
    cast(coalesce(in_session.known_events, 0) as bigint) as known_events,
    {{ divide('in_session.known_events', 'in_session.events') }} as known_event_share,
    cast(coalesce(in_session.staff_events, 0) as bigint) as staff_events,
    cast(coalesce(in_session.runaway_events, 0) as bigint) as runaway_events,
    cast(coalesce(in_none.received_events, 0) as bigint) as received_events,
    cast(coalesce(in_none.unidentified_events, 0) as bigint) as unidentified_events
from week
left join in_session on week.week_start = in_session.week_start and week.channel = in_session.channel
left join in_none on week.week_start = in_none.week_start and week.channel = in_none.channel
