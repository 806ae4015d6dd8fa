{{ config(
    materialized=by_batch(), incremental_strategy='untouched',
    meta={'reads': contract_keys() | list, 'whole': true},
) }}
{#-
  What does not fit together across rows, each case with both sides. One query per rule; every one
  yields the same columns as text, so that a table of violations needs no knowledge of the entities.
  What the retailer does not supply is not missed: a reference counts only where its target has rows.
  Amounts compare to within a cent, in one currency; where currencies differ there is no difference to
  state, and the two amounts show it.
-#}
with
header as (
    select
        order_id,
        net_amount,
        net_amount + shipping_amount + tax_amount as total_amount,
        currency,
        is_counted,
        ordered_at,
        _source
    from {{ ref('fct_order') }}
    where not is_derived
),

lines as (
    select
        order_id,
        sum(net_amount) as amount,
        case when min(currency) = max(currency) then min(currency) else 'several currencies' end as currencies,
        cast(count(*) as string) || ' lines' as what
    from {{ ref('fct_order_line') }}
    where line_type = 'sale'
    group by order_id
),

paid as (
    select
        order_id,
        sum(amount) as amount,
        case when min(currency) = max(currency) then min(currency) else 'several currencies' end as currencies,
        cast(count(*) as string) || ' payments' as what
    from ({{ latest_versions('payments') }}) as latest
    where status = 'succeeded'
    group by order_id
),

refunded as (
    select
        order_id,
        sum(amount) as amount,
        case when min(currency) = max(currency) then min(currency) else 'several currencies' end as currencies,
        cast(count(*) as string) || ' refunds' as what
    from {{ ref('fct_refund') }}
    where status = 'completed' and not is_derived
    group by order_id
),

-- All three sums beside the header they belong to, where one of them does not fit it.
unequal as (
    select
        header.*,
        lines.amount as lines_amount,
        lines.currencies as lines_currencies,
        lines.what as lines_what,
        paid.amount as paid_amount,
        paid.currencies as paid_currencies,
        paid.what as paid_what,
        refunded.amount as refunded_amount,
        refunded.currencies as refunded_currencies,
        refunded.what as refunded_what
    from header
    left join lines on header.order_id = lines.order_id
    left join paid on header.order_id = paid.order_id
    left join refunded on header.order_id = refunded.order_id
    where
        abs(header.net_amount - lines.amount) > 0.01
        or (header.is_counted and abs(header.total_amount - paid.amount) > 0.01)
        or refunded.amount - header.total_amount > 0.01
        or lines.currencies <> header.currency
        or (header.is_counted and paid.currencies <> header.currency)
        or refunded.currencies <> header.currency
),

compared as (
    {%- for rule, name, entity, left, more, counts in [
        ('order_net_is_sum_of_lines', 'lines', 'order_lines', 'net_amount', 'net_amount - lines_amount', 'true'),
        ('payments_are_order_total', 'paid', 'payments', 'total_amount', 'total_amount - paid_amount', 'is_counted'),
        ('refunds_within_order_total', 'refunded', 'refunds', 'total_amount', '0', 'true'),
    ] %}
    select
        '{{ rule }}' as rule,
        '{{ entity }}' as other_entity,
        order_id,
        {{ left }} as amount,
        currency,
        {{ name }}_amount as other_amount,
        {{ name }}_currencies as other_currency,
        {{ name }}_what as what,
        {{ left }} - {{ name }}_amount as difference
    from unequal
    where
        ({{ left }} - {{ name }}_amount < -0.01 or {{ more }} > 0.01 or currency <> {{ name }}_currencies)
        and {{ counts }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

-- Inputs whose orders have lines, and the first order that has some.
lined as (
    select
        header._source,
        min(header.ordered_at) as since
    from header
    inner join lines on header.order_id = lines.order_id
    group by header._source
),

-- Counted orders of such inputs without a line of any kind.
bare as (
    select header.*
    from header
    inner join lined on header._source = lined._source and header.ordered_at >= lined.since
    where
        header.is_counted
        and not exists (
            select 1 from {{ ref('fct_order_line') }} as line
            where line.order_id = header.order_id
        )
),

landed as (
    select
        latest.order_id,
        latest._source,
        latest._batch_id
    from ({{ latest_versions('orders') }}) as latest
    where
        latest.order_id in (select unequal.order_id from unequal)
        or latest.order_id in (select bare.order_id from bare)
),

-- Orders of which there are lines and no header: few, so that lines are looked through once.
headless as (
    select lines.order_id
    from lines
    where not exists (
        select 1 from header
        where header.order_id = lines.order_id
    )
),

found as (
    {%- for reference in integrity_references() %}
    {%- set named = 'referring.' ~ reference.column %}
    {%- set target = 'header' if reference.to == 'orders' else source('lake', reference.to) %}
{%- set lacking = 'mentioning.order_id in (select headless.order_id from headless)'
    if (reference.entity, reference.to) == ('order_lines', 'orders')
    else 'not exists (select 1 from ' ~ target ~ ' as target where target.'
    ~ contract_keys()[reference.to].key[0] ~ ' = mentioning.' ~ reference.column ~ ')' %}
    select
        '{{ reference.entity }}_{{ reference.column }}_known' as rule,
        '{{ reference.severity }}' as severity,
        '{{ reference.entity }}' as entity,
        {{ row_key(reference.entity, 'referring') }} as entity_key,
        '{{ reference.to }}' as other_entity,
        {{ named }} as other_key,
        {{ named }} as left_value,
        cast(null as string) as right_value,
        cast(null as decimal(18, 4)) as difference,
        referring._source as source,
        referring._batch_id as batch_id
    from (
        select mentioning.* from {{ source('lake', reference.entity) }} as mentioning
        where
            mentioning.{{ reference.column }} is not null
            {%- if reference.where %}
            and mentioning.{{ reference.where }}
            {%- endif %}
            and exists (select 1 from {{ target }})
            and {{ lacking }}
    ) as referring
    {%- if may_have_versions(reference.entity) %}
    where
        not exists (
            select 1 from {{ ref('superseded_row') }} as old
            where {{ same_row(reference.entity, 'referring') }}
        )
    {%- endif %}
    union all
    {%- endfor %}
    {#- One version of a row twice, with other content: which of the two counts is for nobody to say. -#}
    {%- for entity in contract_keys() if may_have_versions(entity) %}
    {%- set key, version = contract_keys()[entity].key, contract_keys()[entity].version %}
    {%- set tied = 'coalesce(' ~ version ~ ', _known_at)' if version else '_known_at' %}
    select
        '{{ entity }}_key_unique' as rule,
        'ERROR' as severity,
        '{{ entity }}' as entity,
        max({{ row_key(entity, 'repeated') }}) as entity_key,
        '{{ entity }}' as other_entity,
        max({{ row_key(entity, 'repeated') }}) as other_key,
        min(repeated._file || ':' || cast(repeated._row as string)) as left_value,
        max(repeated._file || ':' || cast(repeated._row as string)) as right_value,
        cast(count(*) - 1 as decimal(18, 4)) as difference,
        max(repeated._source) as source,
        max(repeated._batch_id) as batch_id
    from {{ source('lake', entity) }} as repeated
    where
        ({{ key | join(', ') }}) in (
            select {{ key | join(', ') }} from {{ source('lake', entity) }}
            group by {{ key | join(', ') }}, {{ tied }}
            having count(*) > 1
        )
    group by
        {% for column in key %}repeated.{{ column }}, {% endfor -%}
        {{ tied }}
    having count(*) > 1
    union all
    {%- endfor %}
    select
        'orders_have_lines' as rule,
        'WARN' as severity,
        'orders' as entity,
        bare.order_id as entity_key,
        'order_lines' as other_entity,
        bare.order_id as other_key,
        cast({{ money('bare.net_amount') }} as string) || ' ' || bare.currency as left_value,
        cast(null as string) as right_value,
        {{ money('bare.net_amount') }} as difference,
        landed._source as source,
        landed._batch_id as batch_id
    from bare
    left join landed on bare.order_id = landed.order_id
    union all
    select
        compared.rule,
        'ERROR' as severity,
        'orders' as entity,
        compared.order_id as entity_key,
        compared.other_entity,
        compared.order_id as other_key,
        cast({{ money('compared.amount') }} as string) || ' ' || compared.currency as left_value,
        cast({{ money('compared.other_amount') }} as string) || ' ' || compared.other_currency
        || ' in ' || compared.what as right_value,
        case when compared.currency = compared.other_currency then {{ money('compared.difference') }} end as difference,
        landed._source as source,
        landed._batch_id as batch_id
    from compared
    left join landed on compared.order_id = landed.order_id
)

select * from found
where {{ is_touched() }}
