"""The one runner: a table and its suite in, typed outcomes out.

What belongs here: deciding how a table is judged (in pandas or inside DuckDB), taking its measures,
and turning answers into ``siyu.ops.GateResult``. What does not: rules (``expectations.suites``) or
how Great Expectations is driven (``expectations.engine``).

A rule that cannot be evaluated is ``errored``, never passed: a missing table, a missing column, SQL
that fails, a share of nothing. Results quote keys only, and never the text of an exception, which
may hold data.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import duckdb

from expectations import engine
from expectations.engine import judge_frame, judge_query
from expectations.rules import ROWS, Rule, Suite
from siyu.ops import GateResult

GATE = "gx"
MAX_EXAMPLES = 5

# Above so many rows the work goes to DuckDB, which by then is the faster of the two: at 26 columns
# and 13 rules pandas takes 0.14 s for 1,000 rows, 1.0 s for 50,000 and 3.5 s for 200,000 (loading
# included), DuckDB 0.1 s, 0.1 s and 0.15 s (benchmarks in docs/decisions/040).
PANDAS_MAX_ROWS = 5_000


class _Unreadable(Exception):
    """The table itself cannot be read; the message says why without quoting data."""


@dataclass(frozen=True)
class _Table:
    """What is judged: a connection that sees it, its columns and its number of judged rows."""

    suite: Suite
    connection: duckdb.DuckDBPyConnection
    columns: frozenset[str]
    rows: int


def judge(suite: Suite, connection: duckdb.DuckDBPyConnection) -> list[GateResult]:
    """Judge one table.

    Args:
        suite: What the table must satisfy.
        connection: Sees every table that the suite's SQL names; only read from, never closed.

    Returns:
        One result per rule, in the suite's order; never empty.
    """
    try:
        table = _look(suite, connection)
        numbers = _measure(table)
        verdicts = _judge_rows(table) | _judge_numbers(suite, numbers)
        return [_result(table, rule, verdicts.get(rule.id), numbers) for rule in suite.rules]
    except _Unreadable as error:
        return [_errored(rule, str(error)) for rule in suite.rules]
    except Exception as error:
        # Whatever broke inside a library must block the table, not pass it or end the run.
        reason = f"the suite could not be run ({type(error).__name__})"
        return [_errored(rule, reason) for rule in suite.rules]


def fingerprint(suite: Suite) -> str:
    """A hash of what the suite demands and of how it is judged; another one may judge otherwise."""
    said = repr((suite.table, suite.key, suite.where, suite.rules, _way_of_judging()))
    return hashlib.sha256(said.encode()).hexdigest()


@cache
def _way_of_judging() -> tuple[str, ...]:
    """The libraries' versions and the code of this package that uses them."""
    libraries = (version(name) for name in ("great_expectations", "duckdb"))
    return (*libraries, *(Path(file).read_text("utf-8") for file in (__file__, engine.__file__)))


def _look(suite: Suite, connection: duckdb.DuckDBPyConnection) -> _Table:
    try:
        described = connection.execute(f"DESCRIBE {suite.table}").fetchall()
        rows = _one(connection, f"SELECT count(*) FROM ({suite.rows})")
    except duckdb.Error as error:
        raise _Unreadable(f"{suite.table} cannot be read ({type(error).__name__})") from None
    return _Table(suite, connection, frozenset(str(row[0]) for row in described), int(rows))


def _judge_rows(table: _Table) -> dict[str, bool]:
    """Whether the row rules hold. This is the one place that chooses how a table is validated."""
    rules = table.suite.row_rules
    if not rules:
        return {}
    if table.rows <= PANDAS_MAX_ROWS:
        return judge_frame(table.connection.execute(table.suite.rows).df(), rules)
    return judge_query(table.connection, table.suite.rows, rules)


def _judge_numbers(suite: Suite, numbers: Mapping[str, float]) -> dict[str, bool]:
    """Whether the measures hold; what has no number is left out."""
    return {
        rule.id: _within(numbers[rule.id], rule.arguments["min_value"], rule.arguments["max_value"])
        for rule in suite.measures
        if rule.id in numbers
    }


def _within(number: float, least: float | None, most: float | None) -> bool:
    """Whether a number lies between the bounds, both included; what is not a number does not."""
    at_least = -math.inf if least is None else least
    return at_least <= number <= (math.inf if most is None else most)


def _measure(table: _Table) -> dict[str, float]:
    """The measures' numbers by rule id, in one scan; one by one only when that scan fails."""
    rules = table.suite.measures
    if not rules:
        return {}
    try:
        return _numbers(table, rules)
    except duckdb.Error:
        numbers: dict[str, float] = {}
        for rule in rules:
            with suppress(duckdb.Error):
                numbers |= _numbers(table, [rule])
        return numbers


def _numbers(table: _Table, rules: Sequence[Rule]) -> dict[str, float]:
    # The count keeps it one row even where every measure is a query of its own.
    expressions = ", ".join(["count(*)", *(str(rule.measure) for rule in rules)])
    query = f"SELECT {expressions} FROM ({ROWS})".replace(ROWS, table.suite.rows)
    found = table.connection.execute(query).fetchone()
    values = found[1:] if found else ()
    return {
        rule.id: float(value)
        for rule, value in zip(rules, values, strict=True)
        if value is not None
    }


def _result(
    table: _Table, rule: Rule, holds: bool | None, numbers: Mapping[str, float]
) -> GateResult:
    if holds is None:
        return _errored(rule, _why_unknown(table, rule))
    broken_rows = _broken_rows(table, rule, holds, numbers)
    seen = _seen(table, rule, broken_rows, numbers)
    return GateResult(
        gate=GATE,
        rule=rule.id,
        severity=rule.severity,
        outcome="passed" if holds else "failed",
        message=f"Expected that {rule.expected}; "
        + (f"so it is ({seen})." if holds else f"found {seen}."),
        failed_count=broken_rows,
        observed=seen,
        example_keys=() if holds else _examples(table, rule),
    )


def _errored(rule: Rule, reason: str) -> GateResult:
    return GateResult(
        gate=GATE,
        rule=rule.id,
        severity=rule.severity,
        outcome="errored",
        message=f"Expected that {rule.expected}; nobody can say, because {reason}.",
    )


def _why_unknown(table: _Table, rule: Rule) -> str:
    if rule.measure is not None:
        return "there is nothing to measure, or a table or column it reads is missing"
    column = rule.arguments.get("column")
    if column is not None and column not in table.columns:
        return f"there is no column {column}"
    return "it could not be evaluated"


def _broken_rows(
    table: _Table, rule: Rule, holds: bool, numbers: Mapping[str, float]
) -> int | None:
    """How many rows break the rule, where it speaks of rows."""
    if rule.counts_rows:
        return int(numbers[rule.id])
    if rule.measure is not None or rule.broken is None:
        return None
    if holds:
        return 0
    return int(
        _one(table.connection, f"SELECT count(*) FROM ({table.suite.rows}) WHERE {rule.broken}")
    )


def _seen(table: _Table, rule: Rule, broken_rows: int | None, numbers: Mapping[str, float]) -> str:
    """What was seen, in few words."""
    if rule.expectation == "ExpectTableColumnsToMatchSet":
        return _column_difference(frozenset(rule.arguments["column_set"]), table.columns)
    if broken_rows is not None:
        return f"{broken_rows:,} of {table.rows:,} rows break it"
    if rule.is_share:
        return f"{numbers[rule.id]:.2%}"
    if rule.measure is not None:
        return f"{numbers[rule.id]:,.6g}"
    return f"{table.rows:,} rows"


def _column_difference(declared: frozenset[str], present: frozenset[str]) -> str:
    missing, surprising = sorted(declared - present), sorted(present - declared)
    said = [f"no {', '.join(missing)}"] if missing else []
    said += [f"{', '.join(surprising)} besides"] if surprising else []
    return "; ".join(said) or f"{len(present)} columns"


def _examples(table: _Table, rule: Rule) -> tuple[str, ...]:
    """A few keys of rows that break the rule; none where the key itself cannot be read."""
    if rule.broken is None or not table.columns.issuperset(table.suite.key):
        return ()
    key = ", ".join(table.suite.key)
    query = (
        f"SELECT DISTINCT {key} FROM ({ROWS}) WHERE {rule.broken} ORDER BY ALL LIMIT {MAX_EXAMPLES}"
    )
    found = table.connection.execute(query.replace(ROWS, table.suite.rows)).fetchall()
    return tuple(
        ", ".join(f"{name}={value}" for name, value in zip(table.suite.key, row, strict=True))
        for row in found
    )


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> int | float:
    """The only value of a query that has one."""
    found = connection.execute(query).fetchone()
    if found is None:
        raise _Unreadable("a count came back empty")
    value: int | float = found[0]
    return value
