{#-
  What a session is. Its events are what one visitor did on one channel; a pause of more than half an
  hour ends it. It is never cut for its length, or where it is cut would depend on what came before:
  one that is too long is a script, or a page left open, and is set aside whole.
-#}

{#- Minutes without an event after which a session is over. -#}
{% macro session_pause() -%}
    {{ return(30) }}
{%- endmacro %}

{#- Whether a session is too long to be a person's: over 500 events, or over 8 hours. -#}
{% macro is_runaway(events, started_at, ended_at) -%}
    ({{ events }} > 500 or {{ ended_at }} > {{ add_minutes(started_at, 8 * 60) }})
{%- endmacro %}

{#- Who did it, by the id that is most of one device: the same whoever that turns out to be. -#}
{% macro visitor_of(alias) -%}
    coalesce({{ alias }}.openid, {{ alias }}.external_userid, {{ alias }}.unionid, {{ alias }}.member_id)
{%- endmacro %}

{#- Whether an event of fct_interaction is part of a session: somebody did it. -#}
{% macro is_session_event(alias) -%}
    {{ alias }}.visitor_id is not null and {{ event_kind(alias ~ '.event_name') }} <> 'received'
{%- endmacro %}

{#- Whether the pause between two events is so long that the later one begins a session. -#}
{% macro begins_session(earlier, later) -%}
    {{ later }} > {{ add_minutes(earlier, session_pause()) }}
{%- endmacro %}

{#- Whether a row of staff_identifier was found, and the day is one of their employment. -#}
{% macro is_employed(staff, day) -%}
    coalesce({{ day }} between {{ staff }}.employed_from and {{ staff }}.employed_until, false)
{%- endmacro %}

{#- A query of the customers who are staff, one row each. -#}
{% macro staff_customers() -%}
    select distinct customer_id, employed_from, employed_until from {{ ref('staff_identifier') }}
{%- endmacro %}

{#-
  A query of what to make sessions of anew: each session that an event of a new batch falls in or
  borders on, under any version of the event; each whose visitor began or ceased to be staff; and the
  new events themselves, which have no key yet. No other session can change: it is further than a pause
  from all of these.
-#}
{% macro touched_sessions() -%}
    {%- set fresh %}
        select distinct
            {{ visitor_of('event') }} as visitor_id,
            event.channel,
            event.occurred_at
        from {{ source('lake', 'interactions') }} as event
        where
            {%- if may_have_versions('interactions') %}
            event.event_id in (
                select version.event_id from {{ source('lake', 'interactions') }} as version
                where {{ is_new('version') }}
            )
            {%- else %}
            {{ is_new('event') }}
            {%- endif %}
    {%- endset %}
    {#- A few days of sessions need not be looked for among those of years. -#}
    {%- set span %}
        select
            cast({{ add_minutes('min(occurred_at)', -session_pause()) }} as string),
            cast({{ add_minutes('max(occurred_at)', session_pause()) }} as string)
        from ({{ fresh }}) as fresh
    {%- endset %}
    {%- set since, until = run_query(span).rows[0] if execute and is_incremental() else (none, none) %}
    {%- set columns = 'held.session_key as key, held.visitor_id, held.channel, held.started_at, held.ended_at' %}
    with fresh as ({{ fresh }})

    select
        cast(null as string) as key,
        visitor_id,
        channel,
        occurred_at as started_at,
        occurred_at as ended_at
    from fresh
    {%- if since is not none %}
    union all
    select distinct {{ columns }}
    from {{ this }} as held
    inner join fresh
        on
            held.visitor_id = fresh.visitor_id
            and held.channel = fresh.channel
            and fresh.occurred_at between
                {{ add_minutes('held.started_at', -session_pause()) }}
                and {{ add_minutes('held.ended_at', session_pause()) }}
    where
        held.ended_at >= {{ timestamp_literal(since) }}
        and held.started_at <= {{ timestamp_literal(until) }}
    {%- endif %}
    union all
    select {{ columns }}
    from {{ this }} as held
    left join {{ ref('staff_identifier') }} as staff on held.visitor_id = staff.identifier
    where held.is_staff <> {{ is_employed('staff', 'held.started_date') }}
{%- endmacro %}

{#- Of a relation of events, in an incremental build only those within the spans that are affected. -#}
{% macro only_within_affected(events) -%}
    {%- if is_incremental() -%}
    (
        select near.*
        from (
            -- Both ends at once first, so that years of events are passed over.
            select * from {{ events }}
            where
                occurred_at >= (select min(started_at) from affected)
                and occurred_at <= (select max(ended_at) from affected)
        ) as near
        where exists (
            select 1 from affected
            where
                affected.visitor_id = near.visitor_id
                and affected.channel = near.channel
                and near.occurred_at between affected.started_at and affected.ended_at
        )
    )
    {%- else -%}
    {{ events }}
    {%- endif -%}
{%- endmacro %}
