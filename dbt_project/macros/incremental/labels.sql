{#-
  Which labels a run makes anew; all others are left as they are.

  A label follows from the date, the settings, the counted orders of its customer, and whom their
  identifiers belonged to before. So a row is made anew when its date is new, was asked for, or has a
  window that has passed since (or, as of an earlier day, not yet), and when the orders or the past of its
  customer are not what they were: a late order, a correction, a refusal, an order that went to another
  customer. `applied.label_input` remembers a fingerprint of both for each customer of today, written in
  the transaction that writes the labels. Other settings or other
  code start over. All this is DuckDB's; on Spark the table is built whole.
-#}

{#- Before the labels are written: what is made anew, as temporary tables. -#}
{% macro find_relabelled() -%}
    {%- set features, orders = ref('customer_features'), ref('fct_order') -%}
    {%- set stays = ref('identity_stay') -%}
    {%- if execute and target.type == 'duckdb' -%}
    {{ create_applied() }}
    create or replace temporary table label_input as
    with counted as (
        select customer_id, identifier, hash(order_id, ordered_date, net_amount, identifier) as fingerprint
        from {{ orders }}
        where is_counted and customer_id is not null
    ),

    told as (
        select customer_id, fingerprint from counted
        union all
        select now.customer_id, hash(past.identifier, past.customer_id, past.held_until_date) as fingerprint
        from {{ stays }} as past
        inner join {{ stays }} as now on past.identifier = now.identifier and now.is_current
        where not past.is_current and past.identifier in (select identifier from counted)
    )

    select customer_id, sum(fingerprint) as fingerprint
    from told
    group by customer_id;
    create or replace temporary table relabelled_customer as
    {%- if is_incremental() %}
    select coalesce(fresh.customer_id, old.customer_id) as customer_id
    from label_input as fresh
    full join applied.label_input as old on fresh.customer_id = old.customer_id
    where fresh.fingerprint is distinct from old.fingerprint
    {%- else %}
    select customer_id from label_input where 1 = 0
    {%- endif %};
    create or replace temporary table label_date as
    select
        dates.as_of_date,
        {%- if is_incremental() %}
        made.as_of_date is null
        or dates.as_of_date in (select asked.as_of_date from ({{ feature_dates() }}) as asked)
        {%- for task in ['repurchase', 'churn'] %}
        or made.{{ task }} <> coalesce({{ label_matures_on('dates.as_of_date', task) }} <= {{ as_of_date() }}, false)
        {%- endfor %}
        {%- else %}
        true
        {%- endif %} as is_whole
    from (select distinct as_of_date from {{ features }}) as dates
    {%- if is_incremental() %}
    left join (
        select
            as_of_date,
            count(repurchase_label) > 0 as repurchase,
            count(churn_label) > 0 as churn
        from {{ this }}
        group by as_of_date
    ) as made on dates.as_of_date = made.as_of_date
    {%- endif %}
    {%- endif -%}
{%- endmacro %}

{#- dbt's incremental strategy `relabelled`: drop what is made anew, insert it. -#}
{% macro get_incremental_relabelled_sql(arguments) -%}
    {%- set columns = arguments.dest_columns | map(attribute='quoted') | join(', ') -%}
    delete from {{ arguments.target_relation }}
    where
        as_of_date not in (select as_of_date from label_date where not is_whole)
        or current_customer_id in (select customer_id from relabelled_customer);
    insert into {{ arguments.target_relation }} ({{ columns }})
    select {{ columns }} from {{ arguments.temp_relation }}
{%- endmacro %}

{#- After the labels are written: what they were made of. -#}
{% macro record_label_inputs() -%}
    {%- if execute and target.type == 'duckdb' -%}
    delete from applied.label_input;
    insert into applied.label_input select * from label_input
    {%- endif -%}
{%- endmacro %}
