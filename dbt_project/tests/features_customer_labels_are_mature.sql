-- No label is known before its window has passed, and none is missing afterwards.
select
    labels.customer_id,
    labels.as_of_date
from {{ ref('customer_labels') }} as labels
where
    (labels.repurchase_label is not null)
    <> coalesce(labels.repurchase_matures_on <= {{ as_of_date() }}, false)
    or (labels.spend_next_h is not null) <> (labels.repurchase_label is not null)
    or (labels.churn_label is not null and labels.churn_matures_on > {{ as_of_date() }})
