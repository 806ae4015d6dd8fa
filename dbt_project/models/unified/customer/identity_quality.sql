-- How good identity resolution is: what its last decision looks like, and how much of orders, revenue and
-- interactions it ties to customers. What is tied to nobody is counted too, and shown beside the rest.
with decided as (
    select * from {{ source('lake', 'identity_quality') }}
    where map_version = (select max(last.map_version) from {{ source('lake', 'identity_quality') }} as last)
),

orders as (
    select
        {{ resolved_sums('order_count', 'placed.ordered_date') }},
        {{ resolved_sums('net_revenue', 'placed.ordered_date', in_reporting_currency('placed', 'net_revenue')) }}
    from {{ ref('fct_order') }} as placed
    {{ join_exchange_rate('placed', 'ordered_date') }}
    where placed.is_counted
),

interactions as (
    select {{ resolved_sums('interaction_count', 'occurred_date') }}
    from {{ ref('fct_interaction') }}
)

select
    {{ as_of_date() }} as as_of_date,
    coalesce(decided.identifier_count, 0) as identifier_count,
    coalesce(decided.junk_identifier_count, 0) as junk_identifier_count,
    coalesce(decided.customer_count, 0) as customer_count,
    coalesce(decided.unlinked_customer_count, 0) as unlinked_customer_count,
    decided.identifiers_p50,
    decided.identifiers_p90,
    decided.identifiers_p99,
    coalesce(decided.identifiers_max, 0) as identifiers_max,
    coalesce(decided.edge_count, 0) as edge_count,
    decided.density,
    coalesce(decided.bridge_edge_count, 0) as bridge_edge_count,
    decided.bridge_edge_share,
    coalesce(decided.refused_edge_count, 0) as refused_edge_count,
    decided.refused_edge_share,
    coalesce(decided.customer_count_before, 0) as customer_count_before,
    coalesce(decided.created_customer_count, 0) as created_customer_count,
    coalesce(decided.merged_customer_count, 0) as merged_customer_count,
    coalesce(decided.split_customer_count, 0) as split_customer_count,
    decided.merge_rate,
    cast(orders.order_count as bigint) as order_count,
    cast(orders.unresolved_order_count as bigint) as unresolved_order_count,
    {{ coverages('order_count', 'order') }},
    {{ money('orders.net_revenue') }} as net_revenue,
    {{ money('orders.unresolved_net_revenue') }} as unresolved_net_revenue,
    {{ coverages('net_revenue', 'revenue') }},
    cast(interactions.interaction_count as bigint) as interaction_count,
    cast(interactions.unresolved_interaction_count as bigint) as unresolved_interaction_count,
    {{ coverages('interaction_count', 'interaction') }}
from orders
cross join interactions
left join decided on 1 = 1
