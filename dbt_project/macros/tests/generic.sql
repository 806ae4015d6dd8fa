{#-
  The project's own generic tests. Each selects the rows that break it, key columns first, so that
  example keys can be shown.
-#}

{#- None of the columns is empty in any row. -#}
{% test required(model, columns) %}
select *
from {{ model }}
where
    {%- for column in columns %}
    {% if not loop.first %}or {% endif %}{{ column }} is null
    {%- endfor %}
{% endtest %}

{#- No two rows share the values of the columns. -#}
{% test unique_key(model, columns) %}
select {{ columns | join(', ') }}, count(*) as rows_with_key
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}

{#- The column is zero or more wherever it is not empty. -#}
{% test not_negative(model, column_name) %}
select *
from {{ model }}
where {{ column_name }} < 0
{% endtest %}

{#- The column's sum is the same here as in another relation, exactly. -#}
{% test reconciles(model, column_name, to, where='1 = 1') %}
select here.total as total_here, there.total as total_there
from (select coalesce(sum({{ column_name }}), 0) as total from {{ model }} where {{ where }}) as here
cross join (select coalesce(sum({{ column_name }}), 0) as total from {{ to }} where {{ where }}) as there
where here.total <> there.total
{% endtest %}

{#- As many rows here as in another relation. -#}
{% test same_rows(model, to) %}
select here.total as rows_here, there.total as rows_there
from (select count(*) as total from {{ model }}) as here
cross join (select count(*) as total from {{ to }}) as there
where here.total <> there.total
{% endtest %}

{#-
  Every key of the lake's entity is here: rows here and superseded rows make up the lake, and each
  superseded row's key is still here. With a unique key here, both say that no key was lost or made
  up, without counting the distinct keys of a large table again. `extra` selects rows here that do
  not come from the entity, such as derived ones.
-#}
{% test keeps_every_key(model, entity, extra='1 = 0') %}
select 'rows' as what, here.total as found, there.total - gone.total as expected
from (select count(*) as total from {{ model }} where not ({{ extra }})) as here
cross join (select count(*) as total from {{ source('lake', entity) }}) as there
cross join (
    select count(*) as total from {{ ref('superseded_row') }} where entity = '{{ entity }}'
) as gone
where here.total <> there.total - gone.total
union all
select 'lost key ' || old.row_key as what, 0 as found, 1 as expected
from {{ ref('superseded_row') }} as old
where
    old.entity = '{{ entity }}'
    and not exists (
        select 1 from {{ model }} as here where {{ row_key(entity, 'here') }} = old.row_key
    )
{% endtest %}

{#- The sale lines of an order add up to its header, to the cent; orders without lines aside. -#}
{% test lines_add_up(model, orders) %}
select header.order_id, header.net_amount, summed.net_amount as lines_net_amount
from {{ orders }} as header
inner join (
    select order_id, sum(net_amount) as net_amount
    from {{ model }}
    where line_type = 'sale'
    group by order_id
) as summed on header.order_id = summed.order_id
where abs(header.net_amount - summed.net_amount) >= 0.01
{% endtest %}
