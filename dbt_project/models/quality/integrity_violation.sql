{{ config(
    materialized=by_batch(), incremental_strategy='untouched',
    meta={'reads': contract_keys() | list, 'whole': true},
) }}
{#-
  What does not fit together across rows, each case with both sides. One query per rule; every one
  yields the same columns as text, so that a table of violations needs no knowledge of the entities.
  What the retailer does not supply is not missed: a reference counts only where its target has rows.
  Which amounts of an order differ is unified.order_reconciliation's to find; where currencies differ there
  is no difference to state, and the two amounts show it.
-#}
with
header as (
    select order_id
    from {{ ref('fct_order') }}
    where not is_derived
),

-- What order_reconciliation lists of orders with headers. To within a cent an amount is what it should be.
unequal as (
    select *
    from {{ ref('order_reconciliation') }}
    where
        not is_derived
        and (difference is null or abs(difference) > 0.01 or reason = 'order_without_lines')
),

compared as (
    {%- for rule, entity, left, right, counted, reasons, condition in [
        ('order_net_is_sum_of_lines', 'order_lines', 'header_amount', 'lines_amount', 'line_count',
         ('header_vs_lines', 'lines_in_other_currency'), 'true'),
        ('payments_are_order_total', 'payments', 'due_amount', 'paid_amount', 'payment_count',
         ('unpaid_balance', 'overpaid', 'payments_in_other_currency'), 'is_counted'),
        ('refunds_within_order_total', 'refunds', 'due_amount', 'refunded_amount', 'refund_count',
         ('refund_exceeds_order', 'refunds_in_other_currency'), 'true'),
    ] %}
    select
        '{{ rule }}' as rule,
        '{{ entity }}' as other_entity,
        order_id,
        {{ left }} as amount,
        currency,
        {{ right }} as other_amount,
        other_currency,
        cast({{ counted }} as string) || ' {{ entity | replace('order_', '') }}' as what,
        difference
    from unequal
    where reason in {{ text_list(reasons) }} and {{ condition }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

landed as (
    select
        latest.order_id,
        latest._source,
        latest._batch_id
    from ({{ latest_versions('orders') }}) as latest
    where
        latest.order_id in (select unequal.order_id from unequal)
),

-- Orders of which there are lines and no header: few, so that lines are looked through once.
headless as (
    select order_id
    from {{ ref('order_reconciliation') }}
    where reason = 'lines_without_header'
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
        unequal.order_id as entity_key,
        'order_lines' as other_entity,
        unequal.order_id as other_key,
        cast(unequal.header_amount as string) || ' ' || unequal.currency as left_value,
        cast(null as string) as right_value,
        unequal.difference,
        landed._source as source,
        landed._batch_id as batch_id
    from unequal
    left join landed on unequal.order_id = landed.order_id
    where unequal.reason = 'order_without_lines'
    union all
    select
        compared.rule,
        'ERROR' as severity,
        'orders' as entity,
        compared.order_id as entity_key,
        compared.other_entity,
        compared.order_id as other_key,
        cast(compared.amount as string) || ' ' || compared.currency as left_value,
        cast(compared.other_amount as string) || ' ' || compared.other_currency || ' in ' || compared.what
            as right_value,
        compared.difference,
        landed._source as source,
        landed._batch_id as batch_id
    from compared
    left join landed on compared.order_id = landed.order_id
)

select * from found
where {{ is_touched() }}
