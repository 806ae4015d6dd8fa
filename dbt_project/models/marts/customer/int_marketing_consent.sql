{{ config(materialized='ephemeral', contract={'enforced': false}) }}
-- What each customer last said about marketing, by channel, as of the as-of day. Raw: no decision on
-- whether they may be contacted. Per identifier the latest statement on the channel or on all
-- channels holds; between statements of one instant, and between identifiers of one customer, the
-- most restrictive does. What nobody said anything about stays unknown.
{%- set channels = ['wecom', 'sms', 'email', 'phone', 'mini_program'] %}
with statements as (
    select
        said.customer_id,
        said.identifier,
        channels.channel,
        said.effective_at,
        case
            when said.status in ('denied', 'withdrawn') then 3
            when said.status = 'expired' or said.expires_at < {{ as_of() }} then 2
            else 1
        end as restriction,
        case
            when said.status = 'granted' and said.expires_at < {{ as_of() }} then 'expired'
            else said.status
        end as status
    from {{ ref('fct_consent') }} as said
    inner join (
        {% for channel in channels %}
        select '{{ channel }}' as channel
        {% if not loop.last %}
        union all
        {% endif %}
        {% endfor %}
    ) as channels
        on said.channel = channels.channel or said.channel = 'all'
    where
        said.purpose = 'marketing'
        and said.customer_id is not null
        and said.effective_at < {{ as_of() }}
),

latest as (
    select
        ranked.customer_id,
        ranked.channel,
        ranked.status,
        row_number() over (
            partition by ranked.customer_id, ranked.channel
            order by ranked.restriction desc, ranked.effective_at desc, ranked.status asc
        ) as strictness
    from (
        select
            statements.*,
            row_number() over (
                partition by statements.customer_id, statements.identifier, statements.channel
                order by
                    statements.effective_at desc, statements.restriction desc, statements.status asc
            ) as recency
        from statements
    ) as ranked
    where ranked.recency = 1
)

select
    latest.customer_id,
    {%- for channel in channels %}
    max(case when latest.channel = '{{ channel }}' then latest.status end) as {{ channel }}
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
from latest
where latest.strictness = 1
group by latest.customer_id
