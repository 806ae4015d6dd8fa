{#-
  How an incremental model changes the rows that a batch affects.

  Tables whose rows are a lake row each take in the rows of new batches and drop what had their keys.
  Tables whose rows depend on several lake rows first find the keys that anything new touches
  (`find_affected`), drop these, and insert what the model's SELECT now yields for them. A merge or
  split of customers changes no other column than the customer, so rows follow the identifier that
  ties them to one (`follow_identifiers`).
-#}

{#- Before a model is written: the keys that new batches touch, as temporary table `affected`. -#}
{% macro find_affected(query) -%}
    {%- if execute and is_incremental() -%}
    create or replace temporary table affected as {{ query }}
    {%- endif -%}
{%- endmacro %}

{#- A relation, in an incremental build only those of its rows whose column is an affected key. -#}
{% macro only_affected(relation, column) -%}
    {%- if is_incremental() -%}
    (select * from {{ relation }} where {{ column }} in (select key from affected))
    {%- else -%}
    {{ relation }}
    {%- endif -%}
{%- endmacro %}

{#- Staging's latest versions of an entity, in an incremental build only rows of affected keys. -#}
{% macro latest_rows(entity, key) -%}
    {#- Both are named while parsing, as the graph does not depend on how a model is built. -#}
    {%- set whole, part = ref('stg_' ~ entity), latest_versions(entity, key) -%}
    {%- if is_incremental() -%}({{ part }}){%- else -%}{{ whole }}{%- endif -%}
{%- endmacro %}

{#- dbt's incremental strategy `affected`: drop affected keys, insert what there is of them now. -#}
{% macro get_incremental_affected_sql(arguments) -%}
    {%- set columns = arguments.dest_columns | map(attribute='quoted') | join(', ') -%}
    delete from {{ arguments.target_relation }}
    where {{ config.get('unique_key') }} in (select key from affected);
    insert into {{ arguments.target_relation }} ({{ columns }})
    select {{ columns }} from {{ arguments.temp_relation }}
{%- endmacro %}

{#- dbt's incremental strategy `batch`: rows of new batches take the place of what had their keys. -#}
{% macro get_incremental_batch_sql(arguments) -%}
    {%- set columns = arguments.dest_columns | map(attribute='quoted') | join(', ') -%}
    {%- set keys = config.get('unique_key') -%}
    {%- set entity = model.config.meta['reads'][0] -%}
    {%- if may_have_versions(entity) %}
    delete from {{ arguments.target_relation }} as old
    using {{ arguments.temp_relation }} as fresh
    where
        {%- for key in ([keys] if keys is string else keys) %}
        {% if not loop.first %}and {% endif %}old.{{ key }} = fresh.{{ key }}
        {%- endfor %};
    {%- endif %}
    insert into {{ arguments.target_relation }} ({{ columns }})
    select {{ columns }} from {{ arguments.temp_relation }}
{%- endmacro %}

{#-
  dbt's incremental strategy `untouched`, of models with `meta: {whole: true}`: built whole when
  anything that they read has changed (they start over), and otherwise left as they are.
-#}
{% macro get_incremental_untouched_sql(arguments) -%}
    select count(*) from {{ arguments.temp_relation }}
{%- endmacro %}

{#- The condition that spares such a model's SELECT the reading when nothing has changed. -#}
{% macro is_touched() -%}
    {{ '1 = 0' if is_incremental() else '1 = 1' }}
{%- endmacro %}

{#- After a model is written: rows of identifiers that changed hands go to the new customer. -#}
{% macro follow_identifiers() -%}
    {%- set identifier = model.config.meta.get('identifier') -%}
    {#- A table of customers makes anew who gained or lost an identifier (touched_customers). -#}
    {%- set follows = identifier and identifier != 'customer_id' and not model.config.meta.get('whole') -%}
    {%- if execute and follows and is_incremental() and intake().changes -%}
    update {{ this }} as fact
    set customer_id = held.customer_id
    from {{ ref('customer_identifier') }} as held
    where
        fact.{{ identifier }} = held.identifier
        and held.identifier in (
            select noted.identifier from ({{ identity_changes() }}) as noted
            where noted.batch_id in {{ text_list(intake().changes) }}
        )
        and fact.customer_id is distinct from held.customer_id
    {%- endif -%}
{%- endmacro %}

{#- Names of the models whose rows follow the identifier that ties them to a customer. -#}
{% macro followers() -%}
    {%- set found = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.config.meta -%}
        {%- if node.config.meta.get('identifier') -%}{%- do found.append(node.name) -%}{%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{#-
  Before the identity map is replaced: note which identifiers change hands. New ones are not noted:
  only new batches can hold them. When there is no table to compare with, everything starts over.
  Changes that every table has applied are forgotten; an id that any of them holds is not given again.
-#}
{% macro note_identity_change() -%}
    {%- if execute and target.type == 'duckdb' -%}
    {%- set before = load_relation(this) -%}
    {{ create_applied() }}
    delete from applied.identity_change
    where ('identity:' || cast(change_id as string)) in (
        select batch_id from applied.taken_in
        where model in {{ text_list(followers()) }} and batch_id like 'identity:%'
        group by batch_id
        having
            count(*) = (
                select count(distinct model) from applied.taken_in
                where model in {{ text_list(followers()) }}
            )
    );
    insert into applied.identity_change
    with number as (
        select coalesce(max(change_id), 0) + 1 as change_id
        from (
            select change_id from applied.identity_change
            union all
            select cast(replace(batch_id, 'identity:', '') as bigint) from applied.taken_in
            where batch_id like 'identity:%'
        ) as given
    )
    {%- if before is none %}
    select number.change_id, cast(null as string), true, cast(null as string) from number
    {%- else %}
    select
        number.change_id,
        old.identifier,
        old.customer_id is null or fresh.customer_id is null,
        old.customer_id
    from {{ before }} as old
    inner join {{ source('lake', 'customer_identifier') }} as fresh on old.identifier = fresh.identifier
    cross join number
    where old.customer_id is distinct from fresh.customer_id
    {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#- How a model is kept that takes in batch by batch. Parquet folders on Spark are built whole. -#}
{% macro by_batch() -%}
    {{ return('table' if target.type == 'spark' else 'incremental') }}
{%- endmacro %}

{#- A query of the values of a column in rows of an entity's new batches. -#}
{% macro touched_values(entity, column) -%}
    select fresh.{{ column }} as key from {{ source('lake', entity) }} as fresh
    where {{ is_new('fresh') }}
{%- endmacro %}

{#-
  A query of the customers of whom rows of new batches speak, of those who gained or lost an identifier, and
  of those in whose history a moment known beforehand has come (or, as of an earlier day, not yet). Their
  identifiers are keys as well, so that an entity's rows can be taken by them.
    columns: the column that names the customer, of each entity
-#}
{% macro touched_customers(columns) -%}
    with named as (
        {%- for entity, column in columns.items() %}
        {{ touched_values(entity, column) }}
        union
        {%- endfor %}
        select noted.identifier as key from ({{ identity_changes() }}) as noted
        where noted.batch_id in {{ text_list(intake().changes) }}
    ),

    customer as (
        select held.customer_id from {{ ref('customer_identifier') }} as held
        where held.customer_id is not null and held.identifier in (select key from named)
        union
        select noted.from_customer_id from ({{ identity_changes() }}) as noted
        where noted.batch_id in {{ text_list(intake().changes) }}
        union
        select customer_id from {{ this }}
        where is_current and (valid_to < {{ as_of() }} or (valid_from >= {{ as_of() }} and valid_from > recorded_from))
    )

    select customer_id as key from customer
    union all
    select held.identifier from {{ ref('customer_identifier') }} as held
    where held.customer_id in (select customer_id from customer)
{%- endmacro %}

{#- A query of the orders that rows of new batches belong to, under any version of these rows. -#}
{% macro touched_orders(refunds=false) -%}
    select header.order_id as key from {{ source('lake', 'orders') }} as header
    where {{ is_new('header') }}
    union
    select line.order_id from {{ source('lake', 'order_lines') }} as line
    where {{ is_new('line') }}
    {%- if refunds %}
    union
    select version.order_id from {{ source('lake', 'refunds') }} as version
    where
        version.order_id is not null
        and version.refund_id in (
            select refund.refund_id from {{ source('lake', 'refunds') }} as refund
            where {{ is_new('refund') }}
        )
    {%- endif %}
{%- endmacro %}

{#- A query of the refunds that rows of new batches belong to, be they refunds, orders or lines. -#}
{% macro touched_refunds() -%}
    with touched as ({{ touched_orders() }})

    select refund.refund_id as key from {{ source('lake', 'refunds') }} as refund
    where {{ is_new('refund') }}
    union
    select refund_id from {{ ref('stg_refunds') }} where order_id in (select key from touched)
    union
    select refund_id from {{ ref('stg_refunds') }} where document_id in (select key from touched)
    -- A return line is no refund of its own any more once its order has a header.
    union
    select refund_id from {{ this }} where document_id in (select key from touched)
{%- endmacro %}

{#- A query of the payments of new batches, and those of the orders that new batches touch. -#}
{% macro touched_payments() -%}
    with touched as ({{ touched_orders() }})

    select payment.payment_id as key from {{ source('lake', 'payments') }} as payment
    where {{ is_new('payment') }}
    union
    select payment.payment_id from {{ source('lake', 'payments') }} as payment
    where payment.order_id in (select touched.key from touched)
{%- endmacro %}

{#-
  A query of the products that lines of new batches name in any version, and those the master gains.
  Products of the master are not derived, so lines need not be read for them; that they are gone from
  the derived ones is seen to by the last part.
-#}
{% macro touched_products() -%}
    select line.product_id as key
    from {{ source('lake', 'order_lines') }} as line
    where
        line.product_id is not null
        and line.order_id in (
            select fresh.order_id from {{ source('lake', 'order_lines') }} as fresh
            where {{ is_new('fresh') }}
        )
        and line.product_id not in (select master.product_id from {{ source('lake', 'products') }} as master)
    union
    select master.product_id from {{ source('lake', 'products') }} as master
    where {{ is_new('master') }}
{%- endmacro %}

{#- A query of the keys, as superseded_row names them, that rows of new batches have. -#}
{% macro touched_keys() -%}
    {%- for entity in contract_keys() if may_have_versions(entity) and has_new(entity) %}
    select distinct '{{ entity }}' || '|' || {{ row_key(entity, 'fresh') }} as key
    from {{ source('lake', entity) }} as fresh
    where {{ is_new('fresh') }}
    union all
    {%- endfor %}
    select cast(null as string) as key where 1 = 0
{%- endmacro %}
