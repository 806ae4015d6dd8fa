"""Suites of the unified layer: dimensions and facts, whatever system they came from.

What belongs here: what must hold of each unified table, what it must share with the lake to the
cent, and how much of it must be tied to customers. What does not: references between unified
tables, which dbt tests.

A table's floor follows from the entities that feed it: a table that only an entity the retailer
lacks could fill must be empty, and one that is derived from another entity must not be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from expectations.rules import (
    ROWS,
    Rule,
    Suite,
    between,
    filled,
    measured,
    never,
    no_rows,
    one_of,
    row_count,
    share,
    unique,
)
from siyu.contracts import contract, contracts
from siyu.retailer import Retailer

# Half a cent: sums of DECIMAL(18,4) are exact, so anything more is lost or invented money.
_CENT = 0.005
_FUTURE = "INTERVAL 1 DAY"
_EVENTS = ("create", "merge", "split", "manual_link", "manual_unlink")


@dataclass(frozen=True)
class _Table:
    """One unified table.

    Attributes:
        key: Columns that name a row.
        filled: Further columns with a value in every row.
        sources: Entities of which each row is one; the table's floor is the first one's.
        derived_from: Entities that fill the table where the retailer has none of ``sources``.
        perhaps_from: Entities that may fill it, or may not.
        known: Columns whose values are those of a contract's column, as ``entity.column``.
        floors: Columns that are never below a number.
        event: Column that says when it happened; the row also has ``_known_at``.
        further: Rules of this table alone.
    """

    key: tuple[str, ...]
    filled: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    derived_from: tuple[str, ...] = ()
    perhaps_from: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    floors: Mapping[str, float] | None = None
    event: str | None = None
    further: Callable[[Retailer], Iterable[Rule]] = lambda _: ()


def unified_suite(name: str, retailer: Retailer) -> Suite:
    """What the unified table must satisfy for this retailer.

    Raises:
        KeyError: there is no such table.
    """
    table = TABLES[name]
    size = _size(table, retailer)
    if size.id == "no_rows":
        return Suite(f"unified.{name}", table.key, (size,))
    return Suite(f"unified.{name}", table.key, (size, *_rules(table, retailer)))


def _size(table: _Table, retailer: Retailer) -> Rule:
    """How many rows the table must have."""
    has = retailer.mappings
    supplied = [entity for entity in table.sources if entity in has]
    if supplied:
        return row_count(retailer.entity(supplied[0]).min_rows)
    if any(entity in has for entity in table.derived_from):
        return row_count(1)
    if any(entity in has for entity in table.perhaps_from):
        return row_count(0)
    needed = " or ".join((*table.sources, *table.derived_from, *table.perhaps_from))
    return no_rows(f"{retailer.name} supplies no {needed}")


def _rules(table: _Table, retailer: Retailer) -> Iterator[Rule]:
    yield from filled(*table.key, *table.filled)
    yield unique(table.key)
    for column in table.known:
        entity, _, name = column.partition(".")
        yield one_of(name, contract(entity).column(name).values)
    for name, least in (table.floors or {}).items():
        yield between(name, least)
    if table.event:
        yield never(
            "event_not_in_future",
            "nothing happens more than a day after it was known",
            f"{table.event} > _known_at + {_FUTURE}",
        )
    yield from table.further(retailer)


def _resolution() -> Rule:
    return never(
        "resolution_said",
        "is_resolved says whether there is a customer_id",
        "is_resolved IS DISTINCT FROM (customer_id IS NOT NULL)",
    )


def _share(part: str, whole: str) -> str:
    return f"CAST({part} AS DOUBLE) / nullif({whole}, 0)"


def _net_of_parts() -> Rule:
    # A warning: the three amounts are the source's own, and the source may round.
    return never(
        "net_is_gross_minus_discount",
        "net_amount is gross_amount minus discount_amount to the cent",
        f"abs(net_amount - (gross_amount - discount_amount)) > {_CENT}",
        severity="WARN",
    )


def _reconciled(entity: str, amount: str, here: str) -> Rule:
    """The unified sum of an amount is the sum over the latest versions in the lake."""
    keys = ", ".join(contract(entity).key)
    version = contract(entity).version
    newest = f"coalesce({version}, TIMESTAMP '-infinity'), " if version else ""
    # Only keys with several versions have superseded ones; the latest is as staging has it.
    superseded = (
        f"SELECT sum({amount}) - arg_max({amount}, "
        f"({newest}_known_at, _loaded_at, _batch_id, _file, _row)) AS amount"
        f" FROM lake.{entity} GROUP BY {keys} HAVING count(*) > 1"
    )
    lake = (
        f"(SELECT coalesce(sum({amount}), 0) FROM lake.{entity})"
        f" - (SELECT coalesce(sum(amount), 0) FROM ({superseded}))"
    )
    return measured(
        f"{amount}_reconciles",
        f"{amount} is in sum exactly what the latest rows of lake.{entity} say",
        f"abs(coalesce({here}, 0) - ({lake}))",
        most=0,
    )


def _order_rules(retailer: Retailer) -> Iterator[Rule]:
    yield _resolution()
    yield _net_of_parts()
    yield never(
        "net_revenue_follows",
        "net_revenue is net_amount minus refunded_amount, and 0 where the order does not count",
        "abs(net_revenue - CASE WHEN is_counted THEN net_amount - refunded_amount ELSE 0 END)"
        f" > {_CENT}",
    )
    least = retailer.threshold("min_order_coverage")
    yield share(
        "order_coverage",
        f"at least {least:.0%} of the orders that count are tied to a customer",
        _share("count(*) FILTER (WHERE is_counted AND is_resolved)",
               "count(*) FILTER (WHERE is_counted)"),
        least=least,
    )  # fmt: skip
    least = retailer.threshold("min_revenue_coverage")
    yield share(
        "revenue_coverage",
        f"at least {least:.0%} of net revenue is tied to a customer",
        _share("sum(net_revenue) FILTER (WHERE is_resolved)", "sum(net_revenue)"),
        least=least,
    )
    if "orders" in retailer.mappings:
        yield _reconciled("orders", "net_amount", "sum(net_amount) FILTER (WHERE NOT is_derived)")


def _line_rules(_: Retailer) -> Iterator[Rule]:
    yield _resolution()
    yield _net_of_parts()
    yield never(
        "only_sales_count",
        "only sale lines count as product revenue",
        "is_counted AND line_type <> 'sale'",
    )
    yield _reconciled("order_lines", "net_amount", "sum(net_amount)")


def _refund_rules(retailer: Retailer) -> Iterator[Rule]:
    yield _resolution()
    yield never(
        "only_completed_count",
        "only completed refunds reduce net revenue",
        "is_counted AND status <> 'completed'",
    )
    if "refunds" in retailer.mappings:
        yield _reconciled("refunds", "amount", "sum(amount) FILTER (WHERE NOT is_derived)")


def _interaction_rules(retailer: Retailer) -> Iterator[Rule]:
    yield _resolution()
    least = retailer.threshold("min_interaction_coverage")
    yield share(
        "interaction_coverage",
        f"at least {least:.0%} of interactions are tied to a customer",
        _share("count(*) FILTER (WHERE is_resolved)", "count(*)"),
        least=least,
        severity="WARN",
    )


def _consent_rules(_: Retailer) -> Iterator[Rule]:
    yield _resolution()
    yield never(
        "expires_after_it_holds",
        "a consent expires after it takes effect",
        "expires_at < effective_at",
        severity="WARN",
    )


def _customer_rules(retailer: Retailer) -> Iterator[Rule]:
    yield never(
        "orders_in_order",
        "a customer's first order is not after the last one",
        "first_order_at > last_order_at",
    )
    if "members" in retailer.mappings:
        yield measured(
            "members_found",
            "some customers are members",
            "count(*) FILTER (WHERE is_member)",
            least=1,
        )


def _identifier_rules(retailer: Retailer) -> Iterator[Rule]:
    yield never(
        "namespace_said",
        "namespace is what the identifier begins with",
        "namespace <> split_part(identifier, ':', 1)",
    )
    yield measured(
        "customer_known",
        "every customer_id is one of unified.dim_customer",
        f"(SELECT count(*) FROM ({ROWS}) WHERE customer_id IS NOT NULL"
        " AND customer_id NOT IN (SELECT customer_id FROM unified.dim_customer"
        " WHERE customer_id IS NOT NULL))",
        most=0,
        broken="customer_id IS NOT NULL AND customer_id NOT IN (SELECT customer_id"
        " FROM unified.dim_customer WHERE customer_id IS NOT NULL)",
        counts_rows=True,
    )
    most = retailer.threshold("max_junk_identifier_share")
    yield share(
        "junk_share",
        f"at most {most:.0%} of identifiers are junk",
        _share("count(*) FILTER (WHERE is_junk)", "count(*)"),
        most=most,
        severity="WARN",
    )


def _identity_event_rules(_: Retailer) -> Iterator[Rule]:
    yield one_of("event_type", _EVENTS)


def _quality_rules(retailer: Retailer) -> Iterator[Rule]:
    most = retailer.threshold("max_coverage_drop")
    named = {"order": "orders that count", "revenue": "net revenue"}
    if "interactions" in retailer.mappings:
        named["interaction"] = "interactions"
    for what, said in named.items():
        yield share(
            f"{what}_coverage_kept",
            f"the share of {said} tied to a customer in the last 28 days is at most {most:.0%} below"
            " that of the year before them",
            f"coalesce(max(earlier_{what}_coverage - recent_{what}_coverage), 0)",
            most=most,
            severity="WARN",
        )


def _date_rules(retailer: Retailer) -> Iterator[Rule]:
    yield measured(
        "no_day_missing",
        "no day is missing between the first and the last",
        "date_diff('day', min(date_day), max(date_day)) + 1 - count(DISTINCT date_day)",
        most=0,
    )
    yield measured(
        "history_covered",
        f"the calendar begins on {retailer.history_from} or before",
        f"date_diff('day', DATE '{retailer.history_from}', min(date_day))",
        most=0,
    )


def _resolved(_: Retailer) -> Iterator[Rule]:
    yield _resolution()


_WITH_CUSTOMERS = tuple(name for name, found in contracts().items() if found.customer_columns)
_FACT = ("is_resolved", "_known_at", "_source")
_AMOUNTS = ("currency", "gross_amount", "discount_amount", "net_amount")

TABLES: Mapping[str, _Table] = {
    "dim_customer": _Table(
        ("customer_id",),
        filled=("is_member", "member_count", "identifier_count"),
        derived_from=_WITH_CUSTOMERS,
        known=("members.gender", "members.status"),
        floors={"identifier_count": 1, "member_count": 0},
        further=_customer_rules,
    ),
    "customer_identifier": _Table(
        ("identifier",),
        filled=("namespace", "is_junk"),
        derived_from=_WITH_CUSTOMERS,
        further=_identifier_rules,
    ),
    "customer_identifier_history": _Table(
        ("identifier", "recorded_from"),
        filled=("namespace", "effective_from", "is_current"),
        derived_from=_WITH_CUSTOMERS,
    ),
    "identity_event": _Table(
        ("event_id",),
        filled=("event_type", "customer_id", "occurred_at"),
        derived_from=_WITH_CUSTOMERS,
        further=_identity_event_rules,
    ),
    "identity_quality": _Table(
        ("as_of_date",),
        derived_from=_WITH_CUSTOMERS,
        further=_quality_rules,
    ),
    "dim_product": _Table(
        ("product_id",),
        filled=("is_derived",),
        sources=("products",),
        derived_from=("order_lines",),
        known=("products.status",),
        floors={"list_price": 0, "cost_price": 0},
    ),
    "dim_store": _Table(
        ("store_id",),
        filled=("is_derived",),
        sources=("stores",),
        perhaps_from=("orders", "order_lines"),
        known=("stores.type",),
    ),
    "dim_staff": _Table(("staff_id",), sources=("staff",), known=("staff.status",)),
    "dim_campaign": _Table(
        ("campaign_id",), sources=("campaigns",), floors={"budget_amount": 0}
    ),
    "dim_content": _Table(("content_id",), sources=("content",)),
    "dim_date": _Table(
        ("date_day",),
        filled=("year", "month", "week_start", "is_weekend"),
        derived_from=tuple(contracts()),
        further=_date_rules,
    ),
    "fct_order": _Table(
        ("order_id",),
        filled=(*_FACT, *_AMOUNTS, "channel", "status", "is_counted", "refunded_amount",
                "net_revenue", "is_derived", "ordered_at", "ordered_date"),
        sources=("orders",),
        derived_from=("order_lines",),
        known=("orders.channel", "orders.status"),
        floors={"refunded_amount": 0},
        event="ordered_at",
        further=_order_rules,
    ),
    "fct_order_line": _Table(
        ("order_id", "line_no"),
        filled=(*_FACT, *_AMOUNTS, "line_type", "quantity", "is_counted", "ordered_at",
                "ordered_date"),
        sources=("order_lines",),
        known=("order_lines.line_type", "order_lines.channel"),
        floors={"line_no": 1},
        event="ordered_at",
        further=_line_rules,
    ),
    "fct_refund": _Table(
        ("refund_id",),
        filled=(*_FACT, "document_id", "amount", "currency", "status", "is_counted",
                "is_derived", "requested_at", "requested_date"),
        sources=("refunds",),
        perhaps_from=("order_lines",),
        known=("refunds.status",),
        floors={"amount": 0, "quantity": 0},
        event="requested_at",
        further=_refund_rules,
    ),
    "fct_interaction": _Table(
        ("event_id",),
        filled=(*_FACT, "event_name", "channel", "occurred_at", "occurred_date"),
        sources=("interactions",),
        event="occurred_at",
        further=_interaction_rules,
    ),
    "fct_message": _Table(
        ("message_id", "external_userid", "staff_id"),
        filled=(*_FACT, "channel", "status", "is_sent", "created_at", "created_date"),
        sources=("messages",),
        known=("messages.status",),
        event="created_at",
        further=_resolved,
    ),
    "fct_consent": _Table(
        ("consent_id", "version_no"),
        filled=(*_FACT, "is_current", "identifier", "purpose", "channel", "status", "effective_at",
                "effective_date"),
        sources=("consents",),
        known=("consents.purpose", "consents.channel", "consents.status"),
        further=_consent_rules,
    ),
    "fct_point_entry": _Table(
        ("entry_id",),
        filled=(*_FACT, "member_id", "change", "occurred_at", "occurred_date"),
        sources=("points",),
        known=("points.reason",),
        event="occurred_at",
        further=_resolved,
    ),
}  # fmt: skip
