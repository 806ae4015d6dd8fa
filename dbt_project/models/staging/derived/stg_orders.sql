select * from {{ ref('stg_order_versions') }}
where _superseded_at is null
