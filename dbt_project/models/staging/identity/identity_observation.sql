{{ config(
    materialized=by_batch(), incremental_strategy='untouched',
    meta={'reads': ['members', 'contacts', 'group_members', 'orders', 'order_lines', 'interactions'], 'whole': true},
) }}
-- Which identifiers stood together on one row of a source, counted: one row per combination. It
-- is read several times below, so that large sources are read once.
{{ observed_together('stg_members', {
    'member_id': 'member_id', 'unionid': 'unionid', 'openid': 'openid',
    'phone_token': 'phone_token', 'email_token': 'email_token',
}) }}
union all
{{ observed_together('stg_contacts', {
    'external_userid': 'external_userid', 'unionid': 'unionid',
    'remark_phone_token': 'remark_phone_token',
}) }}
union all
{{ observed_together('stg_group_members', {'external_userid': 'userid', 'unionid': 'unionid'},
    where="member_type = 'customer'") }}
union all
{{ observed_together('stg_orders', {
    'member_id': 'member_id', 'buyer_id': 'buyer_id', 'unionid': 'unionid', 'openid': 'openid',
    'phone_token': 'phone_token',
}) }}
union all
{{ observed_together('stg_interactions', {
    'member_id': 'member_id', 'openid': 'openid', 'unionid': 'unionid',
    'external_userid': 'external_userid',
}) }}
