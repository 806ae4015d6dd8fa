{{ config(
    materialized=by_batch(), incremental_strategy='affected', unique_key='customer_id',
    meta={'reads': ['members', 'contacts', 'consents'], 'identifier': 'customer_id'},
    pre_hook="{{ find_affected(touched_customers({
        'members': 'member_id', 'contacts': 'external_userid', 'consents': 'identifier'
    })) }}",
) }}
{#-
  Three kinds of sayings (of memberships, of WeCom relationships, of consents) are true from some moment
  on and known from some moment on. A cell is a pair of both moments of one customer; what held in each is
  asked of all sayings, and then cells that say the same become one row.
-#}
{%- set of_member = ['tier', 'status', 'home_store_id', 'city'] %}
{%- set tracked = of_member + ['owner_staff_id', 'marketing_consent'] %}
{%- set older_member = 'over (partition by member_id order by newness desc)' %}
{%- set older_relation = 'over (partition by external_userid, staff_id order by newness desc)' %}
{%- set before = 'over (partition by customer_id, known_at order by valid_at)' %}
{%- set newer = 'order by newness rows between unbounded preceding and 1 preceding' %}
{%- set of_cell = 'partition by cell.customer_id, cell.valid_at, cell.known_at' %}
with held as (
    select
        identifier,
        customer_id
    from {{ ref('customer_identifier') }}
    where customer_id is not null
),

member_version as (
    select
        version.*,
        coalesce(version.updated_at, version._known_at) as valid_from,
        row_number() over (
            partition by version.member_id order by {{ newest_first('updated_at') }}
        ) as newness
    from {{ lake_rows('members', 'member_id') }} as version
),

-- A version that repeats the one before it says nothing; there may be one a day.
member_said as (
    select
        held.customer_id,
        said.member_id,
        said.registered_at,
        {%- for column in of_member %}
        said.{{ column }},
        {%- endfor %}
        said.valid_from,
        said._known_at as recorded_from,
        said.newness
    from (
        select
            member_version.*,
            case
                when
                    lag(_known_at) {{ older_member }} <= _known_at
                    {%- for column in of_member + ['registered_at'] %}
                    and ({{ column }} is not distinct from lag({{ column }}) {{ older_member }})
                    {%- endfor %}
                    then 1
                else 0
            end as is_repeated
        from member_version
    ) as said
    inner join held on said.member_id = held.identifier
    where said.is_repeated = 0
),

relation_version as (
    select
        version.*,
        row_number() over (
            partition by version.external_userid, version.staff_id order by {{ newest_first('updated_at') }}
        ) as newness
    from {{ lake_rows('contacts', 'external_userid') }} as version
),

relation_told as (
    select
        told.*,
        min(_known_at) over (partition by external_userid, staff_id, added_at {{ newer }}) as retold_at,
        min(added_at) over (partition by external_userid, staff_id {{ newer }}) as newer_added_at
    from (
        select
            relation_version.*,
            case
                when
                    lag(_known_at) {{ older_relation }} <= _known_at
                    and added_at = lag(added_at) {{ older_relation }}
                    and (deleted_at is not distinct from lag(deleted_at) {{ older_relation }})
                    then 1
                else 0
            end as is_repeated
        from relation_version
    ) as told
    where told.is_repeated = 0
),

corrected as (
    select
        told.external_userid,
        told.staff_id,
        told.newness,
        min(newer._known_at) as corrected_at
    from relation_told as told
    inner join relation_told as newer
        on told.external_userid = newer.external_userid and told.staff_id = newer.staff_id
    where told.newer_added_at < told.added_at and newer.newness < told.newness and newer.added_at < told.added_at
    group by told.external_userid, told.staff_id, told.newness
),

-- What is said of a relationship holds until it is said anew, or corrected to an earlier beginning.
relation_said as (
    select
        held.customer_id,
        told.external_userid,
        told.staff_id,
        told.added_at,
        told.deleted_at,
        told._known_at as recorded_from,
        case
            when corrected.corrected_at is null or told.retold_at < corrected.corrected_at then told.retold_at
            else corrected.corrected_at
        end as recorded_to
    from relation_told as told
    inner join held on told.external_userid = held.identifier
    left join corrected
        on
            told.external_userid = corrected.external_userid
            and told.staff_id = corrected.staff_id
            and told.newness = corrected.newness
),

consent_said as (
    select
        held.customer_id,
        said.identifier,
        said.channel,
        said.status,
        said.effective_at,
        case when said.status = 'granted' then said.expires_at end as expires_at,
        said._known_at as recorded_from,
        -- A correction takes back a grant, not a refusal: only a later grant does (decision 068).
        case when said.status = 'granted' then said._superseded_at end as recorded_to
    from ({{ all_versions('consents', 'identifier') }}) as said
    inner join held on said.identifier = held.identifier
    where said.purpose = 'marketing'
),

moment as (
    select
        customer_id,
        valid_from as valid_at,
        recorded_from as known_at
    from member_said
    {%- for said, column in [
        ('relation_said', 'added_at'), ('relation_said', 'deleted_at'),
        ('consent_said', 'effective_at'), ('consent_said', 'expires_at'),
    ] %}
    union all
    select
        customer_id,
        {{ column }},
        recorded_from
    from {{ said }}
    where {{ column }} is not null and (recorded_to is null or recorded_from < recorded_to)
    {%- endfor %}
),

happened as (
    select
        customer_id,
        valid_at,
        min(known_at) as known_at
    from moment
    group by customer_id, valid_at
),

learned as (
    select
        customer_id,
        known_at,
        lead(known_at) over (partition by customer_id order by known_at) as next_known_at,
        row_number() over (partition by customer_id order by known_at) as place
    from (
        select
            customer_id,
            known_at
        from moment
        {%- for said in ['relation_said', 'consent_said'] %}
        union
        select
            customer_id,
            recorded_to
        from {{ said }}
        where recorded_from < recorded_to
        {%- endfor %}
    ) as known
),

cell as (
    select
        happened.customer_id,
        happened.valid_at,
        learned.known_at,
        learned.next_known_at,
        learned.place
    from happened
    inner join learned on happened.customer_id = learned.customer_id and happened.known_at <= learned.known_at
),

membership as (
    select
        newest.*,
        row_number() over (
            partition by newest.customer_id, newest.valid_at, newest.known_at
            order by {{ membership_first('newest') }}
        ) as choice
    from (
        select
            said.*,
            cell.valid_at,
            cell.known_at,
            row_number() over ({{ of_cell }}, said.member_id order by said.newness) as recency
        from cell
        inner join member_said as said
            on
                cell.customer_id = said.customer_id
                and said.valid_from <= cell.valid_at
                and said.recorded_from <= cell.known_at
    ) as newest
    where newest.recency = 1
),

owner as (
    select
        latest.*,
        row_number() over (
            partition by latest.customer_id, latest.valid_at, latest.known_at
            order by {{ owner_first('latest') }}, latest.external_userid
        ) as choice
    from (
        select
            said.*,
            cell.valid_at,
            cell.known_at,
            row_number() over (
                {{ of_cell }}, said.external_userid, said.staff_id order by said.added_at desc
            ) as recency
        from cell
        inner join relation_said as said
            on
                cell.customer_id = said.customer_id
                and said.added_at <= cell.valid_at
                and said.recorded_from <= cell.known_at
                and (said.recorded_to is null or said.recorded_to > cell.known_at)
    ) as latest
    where latest.recency = 1 and (latest.deleted_at is null or latest.deleted_at > latest.valid_at)
),

statement as (
    select
        said.customer_id,
        cell.valid_at,
        cell.known_at,
        said.identifier,
        said.channel,
        said.effective_at,
        case when said.expires_at <= cell.valid_at then 'expired' else said.status end as status
    from cell
    inner join consent_said as said
        on
            cell.customer_id = said.customer_id
            and said.effective_at <= cell.valid_at
            and said.recorded_from <= cell.known_at
            and (said.recorded_to is null or said.recorded_to > cell.known_at)
),

-- A statement on all channels takes back what the identifier said before of single ones.
consent as (
    select
        standing.*,
        row_number() over (
            partition by standing.customer_id, standing.valid_at, standing.known_at
            order by {{ restriction('standing.status') }} desc, standing.effective_at desc, standing.status
        ) as choice
    from (
        select
            statement.*,
            row_number() over (
                partition by customer_id, valid_at, known_at, identifier, channel
                order by effective_at desc, {{ restriction('status') }} desc, status
            ) as recency,
            max(case when channel = 'all' then effective_at end) over (
                partition by customer_id, valid_at, known_at, identifier
            ) as all_at
        from statement
    ) as standing
    where standing.recency = 1 and (standing.all_at is null or standing.effective_at >= standing.all_at)
),

state as (
    select
        cell.customer_id,
        cell.valid_at,
        cell.known_at,
        cell.next_known_at,
        cell.place,
        {%- for column in of_member %}
        membership.{{ column }},
        {%- endfor %}
        owner.staff_id as owner_staff_id,
        coalesce(consent.status, 'unknown') as marketing_consent
    from cell
    left join membership
        on
            cell.customer_id = membership.customer_id
            and cell.valid_at = membership.valid_at
            and cell.known_at = membership.known_at
            and membership.choice = 1
    left join owner
        on
            cell.customer_id = owner.customer_id
            and cell.valid_at = owner.valid_at
            and cell.known_at = owner.known_at
            and owner.choice = 1
    left join consent
        on
            cell.customer_id = consent.customer_id
            and cell.valid_at = consent.valid_at
            and cell.known_at = consent.known_at
            and consent.choice = 1
),

-- The intervals as they were known at each moment.
timeline as (
    select
        change.*,
        lead(valid_at) {{ before }} as valid_to
    from (
        select
            state.*,
            case
                when
                    row_number() {{ before }} = 1
                    {%- for column in tracked %}
                    or ({{ column }} is distinct from lag({{ column }}) {{ before }})
                    {%- endfor %}
                    then 1
                else 0
            end as is_change
        from state
    ) as change
    where change.is_change = 1
),

-- An interval that stayed as it was from one moment to the next is one row.
recorded as (
    select
        customer_id,
        valid_at as valid_from,
        valid_to,
        {%- for column in tracked %}
        {{ column }},
        {%- endfor %}
        min(known_at) as recorded_from,
        case when count(next_known_at) = count(*) then max(next_known_at) end as recorded_to
    from (
        select
            timeline.*,
            place - row_number() over (
                partition by customer_id, valid_at, valid_to, {{ tracked | join(', ') }} order by place
            ) as island
        from timeline
    ) as run
    group by customer_id, valid_at, valid_to, {{ tracked | join(', ') }}, island
)

select
    customer_id,
    valid_from,
    valid_to,
    recorded_from,
    recorded_to,
    -- The last that has begun: an end known beforehand, such as that of a consent, has yet to come.
    has_begun and row_number() over (partition by customer_id, has_begun order by valid_from desc) = 1
        as is_current,
    {{ tracked | join(',\n    ') }}
from (
    select
        recorded.*,
        recorded_to is null and (valid_from < {{ as_of() }} or valid_from <= recorded_from) as has_begun
    from recorded
) as history
