select
    campaign_id,
    name,
    type,
    channel,
    objective,
    budget_amount,
    currency,
    starts_on,
    ends_on
from {{ ref('stg_campaigns') }}
