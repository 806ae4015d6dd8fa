select * from {{ ref('stg_refund_versions') }}
where _superseded_at is null
