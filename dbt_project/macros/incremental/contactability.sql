{#-
  Which customers' contactability a run makes anew; all others are left as they are.

  It follows from the identifiers of a customer, the statements and WeCom relationships that count, and
  the day, on which grants begin and run out. `applied.contact_input` remembers a fingerprint of these for
  each customer, written in the transaction that writes the rows: made anew is whoever has another one,
  whatever the cause: a late row, a merge, a new phone, a grant that ran out. Other code starts over. All
  this is DuckDB's; on Spark the table is built whole.
-#}

{#- Before contactability is written: fingerprints, and the customers that are made anew as `affected`. -#}
{% macro find_recontacted() -%}
    {#- Named while parsing, as the graph does not depend on how a model is built. -#}
    {%- set identifiers, consents = ref('customer_identifier'), ref('fct_consent') -%}
    {%- set statements = statements_that_count(as_of(), none, none, consents) -%}
    {%- set relationships = relationships_that_count(as_of(), none, none, all_versions('contacts')) -%}
    {%- if execute and target.type == 'duckdb' -%}
    create schema if not exists applied;
    create table if not exists applied.contact_input (customer_id varchar, fingerprint hugeint);
    create or replace temporary table contact_input as
    with held as (
        select customer_id, identifier from {{ identifiers }} where customer_id is not null
    )

    select
        input.customer_id,
        sum(input.part) + (select coalesce(sum(hash(purpose, channel)), 0) from ({{ asked_about(consents) }}))
            as fingerprint
    from (
        select customer_id, hash(identifier) as part from held
        union all
        select
            held.customer_id,
            hash(
                statement.consent_id, statement.version_no, statement.identifier, statement.purpose,
                statement.channel, statement.effective_at, statement.expires_at, statement.status
            )
        from ({{ statements }}) as statement
        inner join held on statement.identifier = held.identifier
        union all
        select held.customer_id, hash(relationship.is_over, relationship.deleted_by)
        from ({{ relationships }}) as relationship
        inner join held on relationship.external_userid = held.identifier
    ) as input
    group by input.customer_id;
    {%- if is_incremental() %}
    create or replace temporary table affected as
    select coalesce(fresh.customer_id, old.customer_id) as key
    from contact_input as fresh
    full join applied.contact_input as old on fresh.customer_id = old.customer_id
    where fresh.fingerprint is distinct from old.fingerprint
    {%- endif %}
    {%- endif -%}
{%- endmacro %}

{#- After contactability is written: what it was made of. -#}
{% macro record_contact_inputs() -%}
    {%- if execute and target.type == 'duckdb' -%}
    delete from applied.contact_input;
    insert into applied.contact_input select customer_id, fingerprint from contact_input
    {%- endif -%}
{%- endmacro %}
