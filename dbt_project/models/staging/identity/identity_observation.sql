{{ config(
    materialized=by_batch(), incremental_strategy='affected', unique_key='seen_in',
    meta={'reads': ['members', 'contacts', 'group_members', 'orders', 'order_lines', 'points', 'interactions']},
    pre_hook="{{ find_affected(touched_models()) }}",
) }}
-- Which identifiers stood together on one row of a source, counted: one row per combination. It
-- is read several times below, so that large sources are read once. A batch counts again the rows of
-- the staging models that it reaches, or is added to them.
{%- for relation, entities, columns, where in observed_models() if has_new(*entities) %}
{{ observed_together(relation, entities, columns, where) }}
union all
{%- endfor %}
select
    cast(null as string) as seen_in,
    cast(null as string) as member_id,
    cast(null as string) as buyer_id,
    cast(null as string) as unionid,
    cast(null as string) as openid,
    cast(null as string) as external_userid,
    cast(null as string) as phone_token,
    cast(null as string) as email_token,
    cast(null as string) as remark_phone_token,
    cast(null as bigint) as evidence_count,
    cast(null as timestamp) as first_seen_at,
    cast(null as timestamp) as last_seen_at,
    cast(null as timestamp) as known_at
where 1 = 0
