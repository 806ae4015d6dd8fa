{{ config(
    materialized=by_batch(), incremental_strategy='relabelled', on_schema_change='fail',
    meta={'reads': ['orders', 'order_lines']},
    pre_hook='{{ find_relabelled() }}',
    post_hook=['{{ record_label_inputs() }}', '{{ record_applied() }}'],
) }}
-- What customers did after each as-of date, from all that is known now; apart from the features, so
-- that nothing of it can get into them. Customers are those known on the date; what they did is what the
-- customer did that each of them belongs to now, so that nobody looks lost who was merged. A label is
-- null until its window has passed.
select
    candidates.customer_id,
    candidates.current_customer_id,
    candidates.as_of_date,
    repurchase.label as repurchase_label,
    {{ money('repurchase.spend') }} as spend_next_h,
    churn.label as churn_label,
    {{ label_matures_on('candidates.as_of_date', 'repurchase') }} as repurchase_matures_on,
    {{ label_matures_on('candidates.as_of_date', 'churn') }} as churn_matures_on,
    -- The first of the two: least() skips nulls on both engines.
    least(
        {{ label_matures_on('candidates.as_of_date', 'repurchase') }},
        {{ label_matures_on('candidates.as_of_date', 'churn') }}
    ) as label_matures_on
from {{ ref('label_candidate') }} as candidates
left join {{ ref('repurchase_label') }} as repurchase
    on
        candidates.customer_id = repurchase.customer_id
        and candidates.as_of_date = repurchase.as_of_date
left join {{ ref('churn_label') }} as churn
    on
        candidates.customer_id = churn.customer_id
        and candidates.as_of_date = churn.as_of_date
