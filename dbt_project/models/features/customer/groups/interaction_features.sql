{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- What customers did, other than buying, as known at each date. Events are the largest entity: they
-- are summed by customer, day and the feature dates on which they count before they meet the dates.
-- A session that runs past midnight counts on both days. What staff did while they were employed is
-- left out, by the staff list as it is now.
{%- set identifiers = ['member_id', 'unionid', 'external_userid', 'openid'] %}
with versions as (
    select
        latest.customer_id,
        latest.identifier,
        {{ event_kind('latest.event_name') }} as kind,
        latest.session_id,
        latest.occurred_date,
        latest.occurred_at,
        latest._known_at,
        cast(null as timestamp) as _superseded_at
    from {{ ref('fct_interaction') }} as latest
    union all
    -- Versions that a later one replaced are few; only they are looked up again.
    select
        {{ first_joined('customer_id', identifiers) }} as customer_id,
        {{ first_joined('identifier', identifiers) }} as identifier,
        {{ event_kind('version.event_name') }} as kind,
        version.session_id,
        version.occurred_date,
        version.occurred_at,
        version._known_at,
        version._superseded_at
    from ({{ all_versions('interactions') }}) as version
    {{- join_customers('version', identifiers) }}
    where version._superseded_at is not null
),

counted as (
    select
        versions.customer_id,
        versions.identifier,
        versions.kind,
        versions.session_id,
        versions.occurred_date,
        {{ first_feature_date_after('greatest(versions._known_at, versions.occurred_at)') }}
            as counts_from,
        {{ first_feature_date_after('versions._superseded_at') }} as counts_until
    from versions
    left join ({{ staff_customers() }}) as staff on versions.customer_id = staff.customer_id
    where
        versions.customer_id is not null
        and versions.kind <> 'received'
        and not {{ is_employed('staff', 'versions.occurred_date') }}
),

-- Whom an event belonged to changes with what is known of its identifier: it counts for each of them
-- in turn. greatest() and least() skip nulls on both engines.
held as (
    select
        coalesce(stay.customer_id, counted.customer_id) as customer_id,
        counted.kind,
        counted.session_id,
        counted.occurred_date,
        greatest(counted.counts_from, stay.counts_from) as counts_from,
        least(counted.counts_until, stay.counts_until) as counts_until
    from counted
    left join {{ ref('identity_as_of') }} as stay on counted.identifier = stay.identifier
    where counted.counts_from is not null
),

daily as (
    select
        held.customer_id,
        held.occurred_date,
        held.counts_from,
        held.counts_until,
        count(*) as events,
        count(distinct held.session_id) as sessions,
        count(case when held.kind = 'browse' then 1 end) as browse_events,
        count(case when held.kind = 'cart' then 1 end) as cart_events,
        count(case when held.kind = 'share' then 1 end) as share_events
    from held
    where held.counts_until is null or held.counts_until > held.counts_from
    group by held.customer_id, held.occurred_date, held.counts_from, held.counts_until
),

aged as (
    select
        dates.as_of_date,
        daily.*,
        {{ days_between('daily.occurred_date', 'dates.as_of_date') }} as age_days
    from daily
    inner join {{ ref('feature_date') }} as dates
        on
            daily.counts_from = dates.counts_from
            and (daily.counts_until is null or daily.counts_until > dates.as_of_date)
)

select
    aged.as_of_date,
    aged.customer_id,
    min(aged.age_days) as days_since_last_event,
    {%- for days in [7, 30, 90] %}
    {{ sum_younger('aged.events', 'aged.age_days', days) }} as events_{{ days }}d,
    {%- endfor %}
    {{ sum_younger('aged.sessions', 'aged.age_days', 30) }} as sessions_30d,
    {{ sum_younger('aged.browse_events', 'aged.age_days', 30) }} as browses_30d,
    {{ sum_younger('aged.cart_events', 'aged.age_days', 30) }} as carts_30d,
    {{ sum_younger('aged.share_events', 'aged.age_days', 90) }} as shares_90d
from aged
group by aged.as_of_date, aged.customer_id
