-- A member of staff is found as a customer by any identifier that the staff list has of them; all other
-- identifiers of that customer are theirs too.
{%- set names = ['phone_token', 'member_id', 'unionid', 'openid'] %}
with named as (
    {%- for name in names %}
    select
        {{ name }} as identifier,
        staff_id,
        hired_on,
        left_on
    from {{ ref('stg_staff') }}
    where {{ name }} is not null
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

employed as (
    select
        held.customer_id,
        min(named.staff_id) as staff_id,
        min(coalesce(named.hired_on, {{ date_literal('0001-01-01') }})) as employed_from,
        max(coalesce(named.left_on, {{ date_literal('9999-12-31') }})) as employed_until
    from named
    inner join {{ ref('customer_identifier') }} as held on named.identifier = held.identifier
    where held.customer_id is not null
    group by held.customer_id
)

select
    held.identifier,
    employed.customer_id,
    employed.staff_id,
    employed.employed_from,
    employed.employed_until
from employed
inner join {{ ref('customer_identifier') }} as held on employed.customer_id = held.customer_id
