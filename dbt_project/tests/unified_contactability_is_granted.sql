{{ config(meta={"dagster": {"ref": {"name": "contactability"}}}) }}
-- Nobody is contactable without a grant in force to show for it, nor against the last word of any of
-- their identifiers, on the message or on the use of data. Told by other means than the rule's.
with word as (
    select
        ledger.customer_id,
        ledger.identifier,
        ledger.purpose,
        ledger.channel,
        max(case when ledger.is_in_force then ledger.effective_at end) as granted_at,
        max(case when ledger.is_refusal then ledger.effective_at end) as refused_at
    from (
        select
            consent.*,
            consent.status = 'granted'
            and consent.is_current
            and consent.effective_at < {{ as_of() }}
            and (consent.expires_at is null or consent.expires_at > {{ as_of() }}) as is_in_force,
            consent.status <> 'granted'
            or (consent.is_current and consent.effective_at < {{ as_of() }} and consent.expires_at <= {{ as_of() }})
                as is_refusal
        from {{ ref('fct_consent') }} as consent
        where consent.customer_id is not null
    ) as ledger
    group by ledger.customer_id, ledger.identifier, ledger.purpose, ledger.channel
)

select
    contactable.customer_id,
    contactable.channel,
    contactable.purpose,
    'no grant in force' as fault
from {{ ref('contactability') }} as contactable
left join {{ ref('fct_consent') }} as evidence
    on
        contactable.consent_id = evidence.consent_id
        and contactable.version_no = evidence.version_no
        and contactable.customer_id = evidence.customer_id
        and contactable.purpose = evidence.purpose
where
    contactable.is_contactable
    and (
        evidence.consent_id is null
        or evidence.channel not in (contactable.channel, 'all')
        or evidence.status <> 'granted'
        or evidence.effective_at >= {{ as_of() }}
        or evidence.expires_at <= {{ as_of() }}
    )
union all
select
    contactable.customer_id,
    contactable.channel,
    contactable.purpose,
    'refused by ' || word.identifier as fault
from {{ ref('contactability') }} as contactable
inner join word
    on
        contactable.customer_id = word.customer_id
        and (
            contactable.purpose = word.purpose
            or (contactable.purpose = 'marketing' and word.purpose = 'data_use')
        )
where contactable.is_contactable and word.channel in (contactable.channel, 'all')
group by contactable.customer_id, contactable.channel, contactable.purpose, word.identifier, word.purpose
having
    max(word.refused_at) is not null
    and (max(word.granted_at) is null or max(word.refused_at) >= max(word.granted_at))
