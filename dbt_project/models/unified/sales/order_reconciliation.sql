{{ config(
    materialized=by_batch(), incremental_strategy='untouched',
    meta={'reads': ['orders', 'order_lines', 'payments', 'refunds'], 'whole': true},
) }}
{#-
  Each order's header beside its lines, payments and refunds, and every difference between them: one
  row per order and reason, however small the difference. A difference is what the order says minus what
  the other side says, in the order's currency; amounts in different currencies have none.
  What an input does not supply is not missed: orders without lines or payments count as such only
  from the first order of the same input that has some.
-#}
{%- set reasons = [
    ('header_vs_lines', 'lines_currency', 'header_amount - lines_amount',
     'currency = lines_currency and header_amount <> lines_amount'),
    ('lines_in_other_currency', 'lines_currency', 'null',
     'currency <> lines_currency'),
    ('order_without_lines', 'null', 'header_amount',
     'is_counted and not has_lines and ordered_at >= lines_since'),
    ('lines_without_header', 'lines_currency', '-lines_amount',
     'is_derived and has_headers'),
    ('unpaid_balance', 'paid_currency', 'due_amount - paid_amount',
     'is_counted and currency = paid_currency and paid_amount < due_amount'),
    ('overpaid', 'paid_currency', 'due_amount - paid_amount',
     'is_counted and currency = paid_currency and paid_amount > due_amount'),
    ('order_without_payment', 'null', 'due_amount',
     'is_counted and due_amount > 0 and payment_count is null and ordered_at >= payments_since'),
    ('paid_but_not_counted', 'paid_currency', 'coalesce(refunded_amount, 0) - paid_amount',
     'not is_counted and currency = paid_currency and coalesce(refunded_currency, currency) = currency '
     ~ 'and paid_amount > coalesce(refunded_amount, 0)'),
    ('payments_in_other_currency', 'paid_currency', 'null',
     'currency <> paid_currency'),
    ('payment_without_order', 'paid_currency', "case when paid_currency <> 'several currencies' then -paid_amount end",
     'not has_order and payment_count > 0'),
    ('refund_exceeds_order', 'refunded_currency', 'due_amount - refunded_amount',
     'currency = refunded_currency and refunded_amount > due_amount'),
    ('refund_exceeds_payment', 'refunded_currency', 'paid_amount - refunded_amount',
     "paid_currency = refunded_currency and paid_currency <> 'several currencies' and refunded_amount > paid_amount"),
    ('refunds_in_other_currency', 'refunded_currency', 'null',
     'currency <> refunded_currency'),
    ('refund_without_order', 'refunded_currency',
     "case when refunded_currency <> 'several currencies' then -refunded_amount end",
     'not has_order and refund_count > 0'),
] %}
with lines as (
    select
        order_id,
        sum(case when line_type = 'sale' then net_amount end) as lines_amount,
        {{ one_currency("case when line_type = 'sale' then currency end") }} as lines_currency,
        count(case when line_type = 'sale' then 1 end) as line_count
    from {{ ref('fct_order_line') }}
    group by order_id
),

paid as (
    select
        order_id,
        sum(amount) as paid_amount,
        {{ one_currency('currency') }} as paid_currency,
        count(*) as payment_count
    from {{ ref('fct_payment') }}
    where is_counted
    group by order_id
),

refunded as (
    select
        order_id,
        sum(amount) as refunded_amount,
        {{ one_currency('currency') }} as refunded_currency,
        count(*) as refund_count
    from {{ ref('fct_refund') }}
    where status = 'completed' and order_id is not null
    group by order_id
),

moved as (
    select
        coalesce(paid.order_id, refunded.order_id) as order_id,
        paid.paid_amount,
        paid.paid_currency,
        paid.payment_count,
        refunded.refunded_amount,
        refunded.refunded_currency,
        refunded.refund_count
    from paid
    full outer join refunded on paid.order_id = refunded.order_id
),

beside as (
    select
        coalesce(placed.order_id, moved.order_id) as order_id,
        placed.order_id is not null as has_order,
        placed.status as order_status,
        placed.is_counted,
        placed.is_derived,
        placed.ordered_at,
        placed.ordered_date,
        placed.currency,
        placed.net_amount as header_amount,
        placed.net_amount + placed.shipping_amount + placed.tax_amount as due_amount,
        lines.order_id is not null as has_lines,
        lines.lines_amount,
        lines.lines_currency,
        lines.line_count,
        moved.paid_amount,
        moved.paid_currency,
        moved.payment_count,
        moved.refunded_amount,
        moved.refunded_currency,
        moved.refund_count,
        placed._source
    from {{ ref('fct_order') }} as placed
    left join lines on placed.order_id = lines.order_id
    full outer join moved on placed.order_id = moved.order_id
),

started as (
    select
        _source,
        min(case when lines_amount is not null then ordered_at end) as lines_since,
        min(case when payment_count > 0 then ordered_at end) as payments_since
    from beside
    group by _source
),

supplied as (
    select count(case when not is_derived then 1 end) > 0 as has_headers
    from {{ ref('fct_order') }}
),

unequal as (
    select
        beside.*,
        started.lines_since,
        started.payments_since,
        supplied.has_headers
    from beside
    cross join supplied
    left join started on beside._source = started._source
    where
        1 = 0
        {%- for _, _, _, condition in reasons %}
        or ({{ condition }})
        {%- endfor %}
),

reasons as (
    {%- for reason, _, _, _ in reasons %}
    select '{{ reason }}' as reason
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    unequal.order_id,
    reasons.reason,
    unequal.order_status,
    unequal.is_counted,
    unequal.is_derived,
    unequal.ordered_date,
    unequal.currency,
    case reasons.reason
        {%- for reason, other_currency, _, _ in reasons %}
        when '{{ reason }}' then {{ other_currency }}
        {%- endfor %}
    end as other_currency,
    {{ money('unequal.header_amount') }} as header_amount,
    {{ money('unequal.due_amount') }} as due_amount,
    {{ money('unequal.lines_amount') }} as lines_amount,
    {{ money('unequal.paid_amount') }} as paid_amount,
    {{ money('unequal.refunded_amount') }} as refunded_amount,
    cast(coalesce(unequal.line_count, 0) as bigint) as line_count,
    cast(coalesce(unequal.payment_count, 0) as bigint) as payment_count,
    cast(coalesce(unequal.refund_count, 0) as bigint) as refund_count,
    case reasons.reason
        {%- for reason, _, difference, _ in reasons %}
        when '{{ reason }}' then {{ money(difference) }}
        {%- endfor %}
    end as difference,
    unequal._source
from unequal
cross join reasons
where
    {{ is_touched() }}
    and (
        1 = 0
        {%- for reason, _, _, condition in reasons %}
        or (reasons.reason = '{{ reason }}' and {{ condition }})
        {%- endfor %}
    )
