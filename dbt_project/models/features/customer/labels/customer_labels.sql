-- What customers did after each as-of date, from all that is known now; apart from the features, so
-- that nothing of it can get into them. A label is null until its window has passed.
select
    candidates.customer_id,
    candidates.as_of_date,
    case when repurchase.matures_on <= {{ as_of_date() }} then repurchase.label end as repurchase_label,
    {{ money('case when repurchase.matures_on <= ' ~ as_of_date() ~ ' then repurchase.spend end') }}
        as spend_next_h,
    repurchase.matures_on as repurchase_matures_on,
    case when churn.matures_on <= {{ as_of_date() }} then churn.label end as churn_label,
    churn.matures_on as churn_matures_on
from {{ ref('label_candidate') }} as candidates
inner join {{ ref('repurchase_label') }} as repurchase
    on
        candidates.customer_id = repurchase.customer_id
        and candidates.as_of_date = repurchase.as_of_date
left join {{ ref('churn_label') }} as churn
    on
        candidates.customer_id = churn.customer_id
        and candidates.as_of_date = churn.as_of_date
