{{ config(
    materialized=by_batch(), incremental_strategy='affected', unique_key='customer_id',
    meta={'reads': ['consents', 'contacts']},
    pre_hook='{{ find_recontacted() }}',
    post_hook=['{{ record_contact_inputs() }}', '{{ create_contactability_as_of() }}', '{{ record_applied() }}'],
) }}
-- May be contacted now: with the grants of the as-of day, and every refusal that has landed since.
{%- set identifiers %}
select
    customer_id,
    identifier,
    namespace
from {{ only_affected(ref('customer_identifier'), 'customer_id') }} as identifier
where customer_id is not null
{%- endset %}
{{ contactability(as_of(), none, none, identifiers, ref('fct_consent'), all_versions('contacts')) }}
