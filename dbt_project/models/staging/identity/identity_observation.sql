{{ config(
    materialized=by_batch(), incremental_strategy='affected', unique_key=combination(),
    meta={'reads': ['members', 'contacts', 'group_members', 'orders', 'order_lines', 'points', 'interactions',
        'coupons', 'feedback', 'messages', 'consents', 'assignments']},
    pre_hook="{{ find_affected(touched_combinations()) }}",
) }}
-- Which identifiers stood together on one row of a source, counted: one row per combination. It
-- is read several times below, so that large sources are read once. A batch counts again the
-- combinations of the rows that it touches, or is added to them.
{%- for relation, columns, where in touched_models() %}
{{ observed_together(relation, columns, where) }}
union all
{%- endfor %}
select
    cast(null as string) as seen_in,
    {%- for kind in identifier_kinds() %}
    cast(null as string) as {{ kind }},
    {%- endfor %}
    cast(null as bigint) as evidence_count,
    cast(null as timestamp) as first_seen_at,
    cast(null as timestamp) as last_seen_at,
    cast(null as timestamp) as known_at
where 1 = 0
