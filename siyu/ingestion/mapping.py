"""A retailer's mapping SQL: which inputs it reads, its macros, and what its result depends on.

What belongs here: everything about the SELECT that turns source rows into contract rows. What does
not: judging its rows (``rules``), or reading files (``readers``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import duckdb

from siyu.contracts import Contract
from siyu.ingestion.errors import InputError
from siyu.lake import literal
from siyu.retailer import Retailer

# What makes one row of several records, or drops some unseen, and what to do instead.
_TO_DBT = "yield the records as they are; dbt derives what is made of several"
_REPEATS = "leave it out: landing drops exact repeats, and counts them"
_NOT_ROW_BY_ROW = {
    "GROUP BY": _TO_DBT,
    "an aggregate": _TO_DBT,
    "HAVING": _TO_DBT,
    "DISTINCT": _REPEATS,
    "UNION": f"write UNION ALL; {_REPEATS.partition(': ')[2]}",
    "EXCEPT": "say in WHERE which records count",
    "INTERSECT": "say in WHERE which records count",
    "PIVOT": _TO_DBT,
    "LIMIT": "leave it out",
    "SAMPLE": "leave it out",
    "QUALIFY": "yield every version of a row, with updated_at, of which the newest holds; lines are "
    "numbered at landing by line_no: occurrence",
    "a JOIN of two inputs": "only one may bring rows; mark a code list lookup: true in retailer.yaml",
}

# Where a row came from: every view of an input has these, and every mapping yields them.
ORIGIN = ("_file", "_row")


@dataclass(frozen=True)
class MappingSql:
    """One ``<entity>.sql``.

    Attributes:
        file: Where it was read from.
        text: The SELECT, as it was written.
        inputs: Inputs it reads that bring rows, in retailer.yaml's order.
        lookups: Inputs it reads that are bound in full beside them.
    """

    file: Path
    text: str
    inputs: tuple[str, ...]
    lookups: tuple[str, ...]

    @cached_property
    def query(self) -> str:
        """The SELECT to run: what was written, with ``_file`` and ``_row`` where they can be added.

        That is where each row of a single SELECT is made of one record of one input.
        """
        tree = _parsed(self.text)
        node = tree["statements"][0]["node"]
        named = {_output(item) for item in node.get("select_list") or []}
        left_out = [name for name in ORIGIN if name not in named]
        table = _only_table(node, self.inputs)
        if table is None or not left_out:
            return self.text
        alias = table["alias"] or table["table_name"]
        node["select_list"] += [_column(alias, name) for name in left_out]
        return _deserialised(tree)


def load_mapping(retailer: Retailer, entity: str) -> MappingSql:
    """Read an entity's mapping.

    Raises:
        InputError: it is not one SELECT, it reads no input of the retailer, or it makes fewer rows of
            several records.
    """
    file = retailer.mappings[entity]
    text = file.read_text("utf-8").strip().removesuffix(";")
    tree = _parsed(text)
    if tree["error"] or len(tree["statements"]) != 1:
        raise InputError(
            f"{file}: {tree.get('error_message', 'more than one statement')}; "
            "a mapping is one SELECT over the inputs of retailer.yaml"
        )
    named = _tables(tree)
    read = [name for name in retailer.inputs if name in named]
    if not read:
        raise InputError(
            f"{file}: reads no input of retailer.yaml; it reads {', '.join(sorted(named)) or '-'}, "
            f"the inputs are {', '.join(retailer.inputs)}"
        )
    rows = [name for name in read if not retailer.inputs[name].lookup]
    # A code list that is mapped on its own brings the rows itself.
    lookups = [name for name in read if retailer.inputs[name].lookup] if rows else []
    _require_row_by_row(file, tree, lookups)
    return MappingSql(file, text, tuple(rows or read), tuple(lookups))


def columns_named(mapping: MappingSql) -> frozenset[str]:
    """Every column name that the SQL mentions, in lower case."""
    found = (
        str(name)
        for node in _nodes(_parsed(mapping.text))
        if node.get("class") == "COLUMN_REF"
        for name in node["column_names"]
    )
    return frozenset(name.lower() for name in found)


def columns_needed(mapping: MappingSql, entity: Contract) -> frozenset[str]:
    """Column names, in lower case, that more than optional columns of the contract are made of.

    Only what stands in the outermost SELECT's list can be told apart; whatever a condition, a join or
    an inner query mentions is needed.
    """
    tree = _parsed(mapping.text)
    node = tree["statements"][0]["node"]
    optional = {column.name for column in entity.columns if not column.required}
    optional -= {name for name in (entity.event_time, entity.version) if name}
    listed = node.get("select_list") or []
    spared = [item for item in listed if _output(item) in optional]
    rest = {**node, "select_list": [item for item in listed if item not in spared]}
    return frozenset(
        str(name).lower()
        for found in _nodes(rest)
        if found.get("class") == "COLUMN_REF"
        for name in found["column_names"]
    )


def _require_row_by_row(file: Path, tree: dict[str, Any], lookups: Sequence[str]) -> None:
    """See that each row is made of one record, so that what came in can be accounted for.

    What reads nothing but lookups may do as it likes: its rows are none of the mapping's.
    """
    found = dict.fromkeys(
        fault
        for node in _nodes(tree, with_expressions=False)
        if node.get("type") in ("SELECT_NODE", "SET_OPERATION_NODE")
        and not _reads_only(node, lookups)
        for fault in _faults(node, lookups)
    )
    if found:
        raise InputError(
            f"{file}: one row in, one row out, so a mapping has no "
            + "; no ".join(f"{fault} ({_NOT_ROW_BY_ROW[fault]})" for fault in found)
        )


def _faults(node: dict[str, Any], lookups: Sequence[str]) -> Iterator[str]:
    """What in one SELECT or set operation takes several records together, or drops some."""
    modifiers = {modifier["type"] for modifier in node["modifiers"]}
    if "DISTINCT_MODIFIER" in modifiers:
        yield "DISTINCT"
    if modifiers & {"LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER"}:
        yield "LIMIT"
    if node["type"] == "SET_OPERATION_NODE":
        operation = node["setop_type"].removesuffix("_BY_NAME")
        if operation != "UNION" or not node["setop_all"]:
            yield operation
        return
    if node["group_sets"] or node["aggregate_handling"] == "FORCE_AGGREGATES":
        yield "GROUP BY"
    if node["having"]:
        yield "HAVING"
    if node["qualify"]:
        yield "QUALIFY"
    said = [node["select_list"], node["qualify"]]
    if any(_is_aggregate(inner) for inner in _nodes(said, with_expressions=False)):
        yield "an aggregate"
    joined = list(_joined(node["from_table"]))
    if node["sample"] or any(table.get("sample") for table in joined):
        yield "SAMPLE"
    if any(table.get("aggregates") for table in joined):
        yield "PIVOT"
    if sum(not _reads_only(table, lookups) for table in joined) > 1:
        yield "a JOIN of two inputs"


def _reads_only(node: dict[str, Any], tables: Sequence[str]) -> bool:
    """Whether a part of a statement names no table but these."""
    return _tables(node) <= set(tables)


def _is_aggregate(node: dict[str, Any]) -> bool:
    """Whether it is a call of an aggregate; over a window, it is another kind of node."""
    return node.get("class") == "FUNCTION" and node["function_name"] in _aggregates()


@cache
def _aggregates() -> frozenset[str]:
    """Names of the engine's aggregates."""
    with _parser().cursor() as connection:
        found = connection.execute(
            "SELECT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'"
        ).fetchall()
    return frozenset(name for (name,) in found)


def _only_table(node: dict[str, Any], inputs: Sequence[str]) -> dict[str, Any] | None:
    """The one input whose records a SELECT turns into rows one by one; None where it does more."""
    if node["type"] != "SELECT_NODE":
        return None
    if any(item["class"] == "STAR" for item in node["select_list"]):
        return None
    tables = [table for table in _joined(node["from_table"]) if table.get("table_name") in inputs]
    return tables[0] if len(tables) == 1 else None


def _joined(table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What stands after FROM, the sides of a join one by one."""
    if table["type"] == "JOIN":
        yield from _joined(table["left"])
        yield from _joined(table["right"])
    else:
        yield table


def _column(table: str, name: str) -> dict[str, Any]:
    """A SELECT item as the engine's parser sees it."""
    kind = "COLUMN_REF"
    return {"class": kind, "type": kind, "alias": "", "column_names": [table, name]}


def _output(item: dict[str, Any]) -> str:
    """What a SELECT item is called."""
    if item.get("alias"):
        return str(item["alias"])
    return str(item["column_names"][-1]) if item.get("class") == "COLUMN_REF" else ""


def _parsed(text: str) -> dict[str, Any]:
    """A statement as the engine's parser sees it; the caller may change what it gets."""
    tree: dict[str, Any] = json.loads(_serialised(text))
    return tree


@cache
def _serialised(text: str) -> str:
    with _parser().cursor() as connection:
        row = connection.execute("SELECT json_serialize_sql($1)", [text]).fetchone()
    return str(row[0]) if row else "{}"


def _deserialised(tree: dict[str, Any]) -> str:
    """The statement that a parsed one was made from."""
    with _parser().cursor() as connection:
        row = connection.execute("SELECT json_deserialize_sql($1)", [json.dumps(tree)]).fetchone()
    return str(row[0]) if row else ""


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """An engine that does nothing but parse; to start one takes longer than a mapping does."""
    return duckdb.connect()


def _tables(node: Any) -> set[str]:
    """Names of the tables that a part of a statement reads."""
    return {found["table_name"] for found in _nodes(node) if found.get("type") == "BASE_TABLE"}


def _nodes(node: Any, with_expressions: bool = True) -> Iterator[dict[str, Any]]:
    """Every object in a part of a parsed statement.

    Args:
        node: The part.
        with_expressions: Whether to enter queries that stand in an expression, whose rows do not
            become the statement's.
    """
    if isinstance(node, dict):
        if not with_expressions and node.get("class") == "SUBQUERY":
            return
        yield node
        for value in node.values():
            yield from _nodes(value, with_expressions)
    elif isinstance(node, list):
        for value in node:
            yield from _nodes(value, with_expressions)


def mapping_sha256(
    retailer: Retailer, entity: str, source: str, mapping: MappingSql, lookups: Sequence[str]
) -> str:
    """Hash of all that decides which rows a file becomes, the contract apart.

    Args:
        retailer: The retailer.
        entity: The entity.
        source: The input.
        mapping: The SQL.
        lookups: Hashes of the files of its lookups.
    """
    settings = retailer.inputs[source]
    decides = {
        "sql": mapping.text,
        "input": {
            name: getattr(settings, name) for name in ("connector", "format", "columns", "options")
        },
        "line_no": retailer.entity(entity).line_no,
        "timezone": retailer.timezone,
        "phone_region": retailer.phone_region,
        "namespaces": sorted(retailer.identifiers),
        "history_from": retailer.history_from.isoformat(),
        "lookups": sorted(lookups),
    }
    return hashlib.sha256(dumps(decides).encode()).hexdigest()


def dumps(value: object) -> str:
    """JSON in one form, for hashing."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=dict)


def create_macros(connection: duckdb.DuckDBPyConnection, retailer: Retailer, now: datetime) -> None:
    """Make the macros that mappings may use.

    ``local_to_utc(ts)`` and ``utc_to_local(ts)`` move a time without a zone between the retailer's
    clock and UTC; a text that is no time becomes ``-infinity``, which landing takes as a violation
    of ``type``, so that it is not mistaken for an absent one. ``ident(namespace, value)`` is NULL
    for a value that says nothing. ``try_decimal(text)`` is NULL for what is not a number.
    """
    zone = literal(retailer.timezone)
    moment = "TRY_CAST(ts AS TIMESTAMP)"
    spans = calm_spans(ZoneInfo(retailer.timezone), retailer.history_from, now.date())
    for name, sign, moved in (
        ("local_to_utc", "-", f"timezone('UTC', timezone({zone}, {moment}))"),
        ("utc_to_local", "+", f"timezone({zone}, timezone('UTC', {moment}))"),
    ):
        # Moving by a fixed number of seconds is ten times as fast as asking the calendar, and away
        # from the changes of the clock it is the same.
        fixed = " ".join(
            f"WHEN {moment} BETWEEN CAST('{span.first}' AS TIMESTAMP) "
            f"AND CAST('{span.last}' AS TIMESTAMP) "
            f"THEN {moment} {sign} INTERVAL ({span.offset_seconds}) SECOND"
            for span in reversed(spans)
        )
        connection.execute(
            f"CREATE TEMP MACRO {name}(ts) AS CASE {fixed} WHEN {moment} IS NOT NULL THEN {moved} "
            "WHEN trim(coalesce(CAST(ts AS VARCHAR), '')) <> '' "
            "THEN CAST('-infinity' AS TIMESTAMP) END"
        )
    text = "CAST(value AS VARCHAR)"
    connection.execute(
        # Most values are longer than 'null' and have no blank at either end, which is cheap to see.
        "CREATE TEMP MACRO ident(namespace, value) AS CASE "
        f"WHEN strlen({text}) > 4 AND NOT (starts_with({text}, ' ') OR ends_with({text}, ' ')) "
        f"THEN namespace || ':' || {text} "
        f"WHEN lower(trim({text})) NOT IN ('', 'null') THEN namespace || ':' || trim({text}) END"
    )
    connection.execute(
        "CREATE TEMP MACRO try_decimal(value) AS "
        "TRY_CAST(trim(CAST(value AS VARCHAR)) AS DECIMAL(18,4))"
    )


class Span(NamedTuple):
    """Days, from midnight to midnight, on which a zone keeps one distance from UTC."""

    first: date
    last: date
    offset_seconds: int


@cache
def calm_spans(zone: ZoneInfo, first: date, last: date) -> tuple[Span, ...]:
    """Stretches between two changes of the clock, a day and more away from either.

    Inside one, a local time and a UTC time differ by the same seconds whichever of the two it is.

    Args:
        zone: The time zone.
        first: First day of interest.
        last: Last day of interest.
    """
    spans: list[Span] = []
    for number in range((last - first).days + 3):
        day = first + timedelta(days=number - 1)
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        offset = int((midnight.astimezone(zone).utcoffset() or timedelta()).total_seconds())
        if spans and spans[-1].offset_seconds == offset:
            spans[-1] = spans[-1]._replace(last=day)
        else:
            spans.append(Span(day, day, offset))
    a_day = timedelta(days=1)
    trimmed = (Span(span.first + a_day, span.last - a_day, span.offset_seconds) for span in spans)
    return tuple(span for span in trimmed if span.first <= span.last)
