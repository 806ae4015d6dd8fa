{#-
  Whether a customer may be contacted: the one rule (docs/consent.md, decision 068). Whatever asks the
  question, of the present or of an earlier day, asks it here.
-#}

{#-
  A query of each customer, channel and purpose: is_contactable, the reason, and the statement that
  decided.

  Of an identifier the statement that took effect last decides, be it on the channel or on all channels;
  at one instant a refusal does. Between identifiers of one customer the most restrictive decides. What
  nobody said anything about is no.

  Expressions of UTC instants, all exclusive:
  - `grants_before`: a grant, or a friendship on WeCom, counts when it took effect before this; a grant
    only if it lasts beyond.
  - `refusals_before`: a refusal, or the end of a friendship, counts when it took effect or became
    known before this, whichever came first. With none every one counts: a refusal of this morning
    holds in a refresh that is as of yesterday.
  - `known_before`: only what became known before this counts. With none all that has landed.
  A grant counts in the version that was the latest then. A refusal counts in every version: that a
  correction calls it a grant after all does not lift it, only a later grant does.

  Relations:
  - `identifiers`: customer_id, identifier and namespace of those who are customers
  - `consents`: unified.fct_consent
  - `contacts`: every version of the WeCom relationships, as all_versions gives them
-#}
{% macro contactability(grants_before, refusals_before, known_before, identifiers, consents, contacts) -%}
with held as (
    {{ identifiers }}
),

channel as (
    {{ message_channels() }}
),

asked as (
    {{ asked_about(consents) }}
),

-- On each channel the last word of each identifier.
said as (
    select
        held.customer_id,
        statement.consent_id,
        statement.version_no,
        statement.identifier,
        statement.purpose,
        channel.channel,
        statement.effective_at,
        statement.expires_at,
        statement.status,
        row_number() over (
            partition by statement.identifier, statement.purpose, channel.channel
            order by
                statement.effective_at desc,
                {{ restriction('statement.status') }} desc,
                statement.consent_id desc,
                statement.version_no desc
        ) as recency
    from ({{ statements_that_count(grants_before, refusals_before, known_before, consents) }}) as statement
    inner join held on statement.identifier = held.identifier
    inner join channel on statement.channel = channel.channel or statement.channel = 'all'
),

-- Of each customer the most restrictive of these, and of grants the one that ends first.
ranked as (
    select
        said.customer_id,
        said.consent_id,
        said.version_no,
        said.identifier,
        said.purpose,
        said.channel,
        said.effective_at,
        said.expires_at,
        said.status,
        row_number() over (
            partition by said.customer_id, said.purpose, said.channel
            order by
                {{ restriction('said.status') }} desc,
                case when said.status = 'granted' then said.expires_at end asc nulls last,
                said.effective_at desc,
                said.consent_id desc,
                said.version_no desc
        ) as strictness
    from said
    where said.recency = 1
),

message as (
    select * from ranked where strictness = 1 and purpose <> 'data_use'
),

data_use as (
    select * from ranked where strictness = 1 and purpose = 'data_use'
),

customer as (
    select
        customer_id,
        max(case when namespace in {{ namespaces_of('phone') }} then 1 else 0 end) as has_phone,
        max(case when namespace in {{ namespaces_of('email') }} then 1 else 0 end) as has_email,
        max(case when namespace in {{ namespaces_of('openid') }} then 1 else 0 end) as has_openid
    from held
    group by customer_id
),

wecom as (
    select
        held.customer_id,
        max(case when relationship.is_over then 0 else 1 end) as is_friend,
        max(case when relationship.is_over and relationship.deleted_by = 'customer' then 1 else 0 end)
            as was_deleted
    from ({{ relationships_that_count(grants_before, refusals_before, known_before, contacts) }}) as relationship
    inner join held on relationship.external_userid = held.identifier
    group by held.customer_id
),

wanted as (
    select
        customer.*,
        asked.channel,
        asked.purpose
    from customer
    cross join asked
),

reasoned as (
    select
        wanted.customer_id,
        wanted.channel,
        wanted.purpose,
        case
            when message.status <> 'granted' then message.status
            when wanted.purpose = 'marketing' and data_use.status <> 'granted' then 'data_use_denied'
            when message.status is null then 'never_asked'
            when wanted.channel = 'wecom' and wecom.is_friend = 1 then 'granted'
            when wanted.channel = 'wecom' and wecom.was_deleted = 1 then 'deleted_by_customer'
            when wanted.channel = 'wecom' then 'not_a_friend'
            when wanted.channel in ('sms', 'phone') and wanted.has_phone = 1 then 'granted'
            when wanted.channel = 'email' and wanted.has_email = 1 then 'granted'
            when wanted.channel = 'mini_program' and wanted.has_openid = 1 then 'granted'
            else 'channel_unreachable'
        end as reason,
        {%- for column in ['consent_id', 'version_no', 'identifier', 'effective_at', 'expires_at'] %}
        message.{{ column }},
        data_use.{{ column }} as data_use_{{ column }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from wanted
    left join message
        on
            wanted.customer_id = message.customer_id
            and wanted.purpose = message.purpose
            and wanted.channel = message.channel
    left join data_use
        on wanted.customer_id = data_use.customer_id and wanted.channel = data_use.channel
    left join wecom on wanted.customer_id = wecom.customer_id
)

select
    customer_id,
    channel,
    purpose,
    reason = 'granted' as is_contactable,
    reason,
    {%- for column in ['consent_id', 'version_no', 'identifier', 'effective_at', 'expires_at'] %}
    case when reason = 'data_use_denied' then data_use_{{ column }} else {{ column }} end as {{ column }}
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
from reasoned
{%- endmacro %}

{#- Channels that messages go out on. -#}
{% macro message_channels() -%}
    {%- for channel in ['wecom', 'sms', 'email', 'phone', 'mini_program'] %}
    select '{{ channel }}' as channel
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
{%- endmacro %}

{#- The purposes of messages, and channels, that anybody was ever asked about. -#}
{% macro asked_about(consents) -%}
    select distinct
        said.purpose,
        channel.channel
    from (
        select distinct
            purpose,
            channel
        from {{ consents }}
        where purpose in ('marketing', 'service')
    ) as said
    inner join ({{ message_channels() }}) as channel
        on said.channel = channel.channel or said.channel = 'all'
{%- endmacro %}

{#- The statements of the ledger that count; what a grant that has run out says is `expired`. -#}
{% macro statements_that_count(grants_before, refusals_before, known_before, consents) -%}
    select
        consent_id,
        version_no,
        identifier,
        purpose,
        channel,
        effective_at,
        expires_at,
        case when status = 'granted' and expires_at <= {{ grants_before }} then 'expired' else status end
            as status
    from {{ consents }}
    where
        purpose in ('marketing', 'service', 'data_use')
        and {{ was_known(known_before) }}
        and case
            when status = 'granted'
                then effective_at < {{ grants_before }} and {{ was_latest('superseded_at', known_before) }}
            else {{ has_ended('effective_at', refusals_before) }}
        end
{%- endmacro %}

{#- The WeCom relationships that count, and whether they are over. -#}
{% macro relationships_that_count(grants_before, refusals_before, known_before, contacts) -%}
    select
        external_userid,
        deleted_by,
        deleted_at is not null and {{ has_ended('deleted_at', refusals_before) }} as is_over
    from ({{ contacts }}) as version
    where
        added_at < {{ grants_before }}
        and {{ was_known(known_before) }}
        and {{ was_latest('_superseded_at', known_before) }}
{%- endmacro %}

{#- Whether a version was known before an instant; with none it is. -#}
{% macro was_known(known_before) -%}
    {{ '1 = 1' if known_before is none else '_known_at < ' ~ known_before }}
{%- endmacro %}

{#- Whether no newer version was known before an instant; with none whether there is none. -#}
{% macro was_latest(superseded_at, known_before) -%}
    {%- if known_before is none -%}
    {{ superseded_at }} is null
    {%- else -%}
    ({{ superseded_at }} is null or {{ superseded_at }} >= {{ known_before }})
    {%- endif -%}
{%- endmacro %}

{#- Whether what ends a permission had come, or was known to come, before an instant; with none it is so. -#}
{% macro has_ended(moment, refusals_before) -%}
    {{ '1 = 1' if refusals_before is none else 'least(' ~ moment ~ ', _known_at) < ' ~ refusals_before }}
{%- endmacro %}

{#-
  The same question of an earlier day, as a macro of the warehouse on DuckDB: a query of
  `unified.contactability_as_of(as_of_day, known_day)` says who could be contacted at the end of one local
  day by what was known at the end of another. It asks about customers as they are known today: what
  someone said counts for them, though it was only later seen that it was them.
-#}
{% macro create_contactability_as_of() -%}
    {%- set identifiers %}
    select
        customer_id,
        identifier,
        namespace
    from {{ ref('customer_identifier') }}
    where customer_id is not null
    {%- endset -%}
    {%- set as_of, known = end_of_local_day('as_of_day'), end_of_local_day('known_day') -%}
    {%- set rule = contactability(
        as_of, as_of, known, identifiers, ref('fct_consent'), all_versions('contacts')
    ) -%}
    {%- if execute and target.type == 'duckdb' -%}
    create or replace macro {{ this.schema }}.contactability_as_of(as_of_day, known_day) as table
    {{ rule }}
    {%- endif -%}
{%- endmacro %}

{#- The first UTC instant after a local day, in SQL of DuckDB; the same as siyu.transform.end_of_day. -#}
{% macro end_of_local_day(day) -%}
    timezone('UTC', timezone('{{ var("timezone") }}', cast(cast({{ day }} as date) + 1 as timestamp)))
{%- endmacro %}
