-- What one system holds and the other does not, or holds otherwise.
select
    record.kind,
    record.direction,
    record.record_id,
    record.reason,
    record.customer_id,
    record.record_date,
    cast(record.age_days as bigint) as age_days
from {{ ref('int_sync_record') }} as record
where record.reason is not null
