{{ config(
    materialized=by_batch(), incremental_strategy='untouched',
    meta={'reads': ['contacts', 'interactions'], 'whole': true},
) }}
-- Contacts that pulls saw being added in the span from the first to the last callback: before the one
-- the receiver did not run yet, and after the other nothing is known. A time in between when it did
-- not run counts as lost, as it should.
with callback as (
    select
        external_userid,
        staff_id,
        event_name,
        occurred_at
    from {{ ref('stg_interactions') }}
    where channel = 'wecom'
),

span as (
    select
        min(occurred_at) as first_at,
        max(occurred_at) as last_at
    from callback
),

added as (
    select
        contact.external_userid,
        contact.staff_id,
        contact.added_at,
        contact.added_date
    from {{ ref('stg_contacts') }} as contact
    inner join span on contact.added_at between span.first_at and span.last_at
),

heard_of as (
    select distinct
        added.external_userid,
        added.staff_id
    from added
    inner join callback
        on
            added.external_userid = callback.external_userid
            and added.staff_id = callback.staff_id
    where
        callback.event_name in ('add_external_contact', 'add_half_external_contact')
        and abs({{ seconds_between('callback.occurred_at', 'added.added_at') }}) <= 3600
)

select
    added.added_date,
    count(*) as contacts_added,
    count(*) - count(heard_of.external_userid) as callbacks_lost,
    cast(count(*) - count(heard_of.external_userid) as double) / count(*) as lost_share
from added
left join heard_of
    on
        added.external_userid = heard_of.external_userid
        and added.staff_id = heard_of.staff_id
where {{ is_touched() }}
group by added.added_date
