{#-
  Which batches a table holds, and which it has yet to take in.

  `applied.taken_in` keeps, for each incremental model, the id of every batch that its rows come
  from, written in the transaction that writes the rows: a killed run leaves both or neither. Ids, not
  a watermark: what matters is which batches are in force, in whatever order they landed. Beside an id
  stands when rows of the batch were last changed where they are (0: never), as the erasure of a person
  does: a batch that was changed since is another one. A row without a batch says that the model was
  built whole, and by which code; one that was built from tables that were behind the lake has none.

  A model names the entities that it reads in `meta: {reads: [...]}`, and the column that holds the
  identifier which ties its rows to customers in `meta: {identifier: ...}`. All this is DuckDB's; on
  Spark every model is a table and built whole.
-#}

{#- The tables that remember, made where they are missing by whatever first writes to one. -#}
{% macro create_applied() -%}
    create schema if not exists applied;
    create table if not exists applied.taken_in (
        model varchar, batch_id varchar, rewritten bigint, code varchar
    );
    create table if not exists applied.identity_change (
        change_id bigint, identifier varchar, is_flip boolean, from_customer_id varchar
    );
    {#- A warehouse of before that column has the table without it. #}
    alter table applied.identity_change add column if not exists from_customer_id varchar;
    create table if not exists applied.label_input (customer_id varchar, fingerprint hugeint);
{%- endmacro %}

{#- A list of texts as an SQL list; nothing equals the one of an empty list. -#}
{% macro text_list(texts) -%}
    ('{{ texts | join("', '") }}')
{%- endmacro %}

{#- Entities whose batches a model takes in; none when it is built whole every time. -#}
{% macro entities_read(node) -%}
    {{ return(node.config.meta.get('reads', []) if node.config.meta else []) }}
{%- endmacro %}

{#- The incremental models that a model descends from, through views and tables alike. -#}
{% macro incremental_ancestors() -%}
    {%- set found, seen, left = [], [], model.depends_on.nodes | list -%}
    {%- for _ in graph.nodes if left -%}
        {%- set name = left.pop() -%}
        {%- if name in graph.nodes and name not in seen -%}
            {%- do seen.append(name) -%}
            {%- set above = graph.nodes[name] -%}
            {%- if entities_read(above) -%}{%- do found.append(above) -%}{%- endif -%}
            {%- do left.extend(above.depends_on.nodes | reject('in', seen) | reject('in', left)) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{#-
  A query of the batches that the model can take in now: those in force of the entities it reads that
  every incremental model above it has taken in. So a model that is built before what it reads does
  not believe to be up to date.
-#}
{% macro available_batches() -%}
    select
        batch.batch_id,
        batch.entity,
        batch.loaded_at,
        batch.rewritten
    from {{ source('lake', 'batch') }} as batch
    where
        batch.entity in {{ text_list(entities_read(model)) }}
        {%- for above in incremental_ancestors() %}
        and (
            batch.entity not in {{ text_list(entities_read(above)) }}
            or (batch.batch_id, batch.rewritten) in (
                select applied.batch_id, applied.rewritten from applied.taken_in as applied
                where applied.model = '{{ above.name }}'
            )
        )
        {%- endfor %}
{%- endmacro %}

{#-
  The condition that every incremental model above was built by this code and holds of the lake what is
  in force now, no more and no less. A model that was built above any other may hold rows that it cannot
  know of: a whole build reads all of the lake, and staging's views hide versions that a stale
  superseded_row calls superseded.
-#}
{% macro is_level_with_lake() -%}
    {%- for above in incremental_ancestors() %}
    {%- set shared = entities_read(above) | select('in', entities_read(model)) | list %}
    exists (
        select 1 from applied.taken_in as held
        where held.model = '{{ above.name }}' and held.batch_id is null and held.code = '{{ var("code") }}'
    )
    and not exists (
        select 1 from applied.taken_in as held
        where
            held.model = '{{ above.name }}'
            and held.batch_id not like 'identity:%'
            and (held.batch_id, held.rewritten) not in (select batch_id, rewritten from {{ source('lake', 'batch') }})
    )
    and not exists (
        select 1 from {{ source('lake', 'batch') }} as batch
        where
            batch.entity in {{ text_list(shared) }}
            and (batch.batch_id, batch.rewritten) not in (
                select held.batch_id, held.rewritten from applied.taken_in as held
                where held.model = '{{ above.name }}' and held.batch_id is not null
            )
    )
    and
    {%- endfor %}
    1 = 1
{%- endmacro %}

{#- A query of the changes of the identity map; ids in the form in which applied.taken_in keeps them. -#}
{% macro identity_changes() -%}
    select
        'identity:' || cast(change.change_id as string) as batch_id,
        change.identifier,
        change.is_flip,
        change.from_customer_id
    from applied.identity_change as change
{%- endmacro %}

{#-
  What the model has to take in, as {'start_over': why or none, 'batches': [...], 'entities': [...],
  'since': ..., 'changes': [...]}: ids of batches, the entities they are of, when the first of them
  landed (UTC; none without batches), and ids of changes of the identity map.
  Asked once for a model; its hooks and its SQL get the same answer, whatever they write. It starts
  over when somebody asks for it (`var('anew')`), when it was never built or from tables that were behind
  the lake, when other code built it, when a batch that it holds is no longer in force or was changed,
  and when an identifier began or ceased to stand for nobody, as weaker identifiers of the same rows
  count then.
-#}
{% macro intake() -%}
    {%- if 'intake' not in model -%}{%- do model.update({'intake': find_intake()}) -%}{%- endif -%}
    {{ return(model['intake']) }}
{%- endmacro %}

{% macro find_intake() -%}
    {%- if adapter.get_relation(this.database, 'applied', 'taken_in') is none -%}
        {{ return({'start_over': 'never built', 'batches': [], 'entities': [], 'since': none, 'changes': []}) }}
    {%- endif -%}
    {%- set follows = model.config.meta.get('identifier') -%}
    {%- set query -%}
    with applied as (
        select batch_id, rewritten, code from applied.taken_in where model = '{{ model.name }}'
    ),

    available as ({{ available_batches() }})
    {%- if follows %},
    change as (
        select * from ({{ identity_changes() }}) as noted
        where noted.batch_id not in (select batch_id from applied where batch_id is not null)
    )
    {%- endif %}

    select
        'built' as what,
        code as id,
        '' as entity,
        cast(null as timestamp) as loaded_at
    from applied where batch_id is null
    union all
    select 'gone', batch_id, '', null from applied
    where
        batch_id not like 'identity:%'
        and (batch_id, rewritten) not in (select batch_id, rewritten from {{ source('lake', 'batch') }})
    union all
    select 'new', batch_id, entity, loaded_at from available
    where batch_id not in (select batch_id from applied where batch_id is not null)
    {%- if follows %}
    union all
    select distinct case when is_flip then 'flip' else 'change' end, batch_id, '', null from change
    {%- endif %}
    order by 1, 2
    {%- endset -%}
    {%- set said = {'built': [], 'gone': [], 'new': [], 'flip': [], 'change': []} -%}
    {%- set entities, landed = [], [] -%}
    {%- for what, id, entity, loaded_at in run_query(query).rows -%}
        {%- do said[what].append(id) -%}{%- do entities.append(entity) -%}
        {%- if loaded_at -%}{%- do landed.append(loaded_at) -%}{%- endif -%}
    {%- endfor -%}
    {%- set why = none -%}
    {%- if var('anew') -%}{%- set why = 'asked for' -%}
    {%- elif not said.built -%}{%- set why = 'never built, or from tables that were behind the lake' -%}
    {%- elif said.built != [var('code')] -%}{%- set why = 'built by other code' -%}
    {%- elif said.gone -%}{%- set why = 'a batch is no longer in force, or not as it was' -%}
    {%- elif said.flip -%}{%- set why = 'an identifier began or ceased to stand for nobody' -%}
    {%- elif model.config.meta.get('whole') and (said.new or said.change) -%}{%- set why = 'something new' -%}
    {%- endif -%}
    {{ return({
        'start_over': why, 'batches': said.new, 'entities': entities,
        'since': (landed | min) if landed else none, 'changes': said.change,
    }) }}
{%- endmacro %}

{#- Whether the model being run is kept by batches, here and now. -#}
{% macro takes_in_batches() -%}
    {{ return(execute and model.config.materialized == 'incremental' and entities_read(model) | length > 0) }}
{%- endmacro %}

{#- dbt's own, which also decides is_incremental(): a model that must start over does. -#}
{% macro should_full_refresh() -%}
    {%- set asked = config.get('full_refresh') -%}
    {%- if asked is none -%}{%- set asked = flags.FULL_REFRESH -%}{%- endif -%}
    {%- if not asked and takes_in_batches() -%}
        {%- set asked = intake().start_over is not none -%}
    {%- endif -%}
    {{ return(asked) }}
{%- endmacro %}

{#-
  The condition that a row of a lake entity is of a batch to take in; always true in a whole build.
  The id decides. That no row of these batches landed before the first of them did is what Parquet's
  statistics can tell of a row group: batch ids are hashes, which any range of them may hold.
-#}
{% macro is_new(alias) -%}
    {%- if is_incremental() -%}
    {{ alias }}._batch_id in {{ text_list(intake().batches) }}
    {%- if intake().since %}
    and {{ alias }}._loaded_at >= {{ timestamp_literal(intake().since) }}
    {%- endif %}
    {%- else -%}
    1 = 1
    {%- endif -%}
{%- endmacro %}

{#- Whether anything of an entity, or of any of several, is new: a whole build takes in everything. -#}
{% macro has_new(entity) -%}
    {%- set asked = [entity] + (varargs | list) -%}
    {{ return(not is_incremental() or asked | select('in', intake().entities) | list | length > 0) }}
{%- endmacro %}

{#- Whether a row of an entity's new batches has the key of another, whichever of them is the newest. -#}
{% macro replaces_rows(entity) -%}
    {#- Named while parsing, as the graph does not depend on what is new. -#}
    {%- do ref('superseded_row') -%}
    {%- if not may_have_versions(entity) or not execute -%}{{ return(may_have_versions(entity)) }}{%- endif -%}
    {%- if 'replaces' not in model -%}{%- do model.update({'replaces': {}}) -%}{%- endif -%}
    {%- if entity in model['replaces'] -%}{{ return(model['replaces'][entity]) }}{%- endif -%}
    {%- set query -%}
    select count(*) from {{ ref('superseded_row') }} as old
    where
        old.entity = '{{ entity }}'
        and old.row_key in (
            select {{ row_key(entity, 'fresh') }} from {{ source('lake', entity) }} as fresh
            where {{ is_new('fresh') }}
        )
    {%- endset -%}
    {%- do model['replaces'].update({entity: run_query(query).rows[0][0] > 0}) -%}
    {{ return(model['replaces'][entity]) }}
{%- endmacro %}

{#- Say, in the transaction that wrote the rows, which batches and changes they now take in. -#}
{% macro record_applied() -%}
    {%- if takes_in_batches() -%}
    {{ create_applied() }}
    delete from applied.taken_in where model = '{{ model.name }}';
    insert into applied.taken_in
    select '{{ model.name }}', batch_id, rewritten, '{{ var("code") }}' from (
        select batch_id, rewritten from ({{ available_batches() }}) as available
        {%- if model.config.meta.get('identifier') %}
        union
        select batch_id, 0 from ({{ identity_changes() }}) as noted
        {%- endif %}
        union all
        select null, 0
        where
            {{ is_level_with_lake() | indent(12) }}
    ) as taken_in
    {%- endif -%}
{%- endmacro %}
