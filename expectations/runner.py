"""The one runner: a table and its suite in, typed outcomes out.

What belongs here: deciding how a table is judged (in pandas or inside DuckDB), taking its measures,
and turning answers into ``siyu.ops.GateResult``. What does not: rules (``expectations.suites``) or
how Great Expectations is driven (``expectations.engine``).

A rule that cannot be evaluated is ``errored``, never passed: a missing table, a missing column, SQL
that fails, a share of nothing. Results quote keys only, and never the text of an exception, which
may hold data.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from expectations.engine import Answer, judge_frame, judge_query
from expectations.rules import ROWS, Rule, Suite
from siyu.ops import GateResult

GATE = "gx"
MAX_EXAMPLES = 5

# Above so many rows the work goes to DuckDB, which by then is the faster of the two: at 26 columns
# and 13 rules pandas takes 0.14 s for 1,000 rows, 1.0 s for 50,000 and 3.5 s for 200,000 (loading
# included), DuckDB 0.1 s, 0.1 s and 0.15 s (benchmarks in docs/decisions/040).
PANDAS_MAX_ROWS = 5_000


_SILENT = Answer(None)


class _Unreadable(Exception):
    """The table itself cannot be read; the message says why without quoting data."""


def judge(suite: Suite, connection: duckdb.DuckDBPyConnection) -> list[GateResult]:
    """Judge one table.

    Args:
        suite: What the table must satisfy.
        connection: Sees every table that the suite's SQL names; only read from, never closed.

    Returns:
        One result per rule, in the suite's order; never empty.
    """
    try:
        present, rows = _shape(suite, connection)
    except _Unreadable as error:
        return [_errored(rule, str(error)) for rule in suite.rules]
    try:
        answers = _judge_rows(suite, connection, rows) | _judge_measures(suite, connection)
    except Exception as error:
        # Whatever broke inside a library must block the table, not pass it or end the run.
        return [
            _errored(rule, f"the suite could not be run ({type(error).__name__})")
            for rule in suite.rules
        ]
    return [
        _result(suite, connection, rule, answers.get(rule.id, _SILENT), present, rows)
        for rule in suite.rules
    ]


def _shape(suite: Suite, connection: duckdb.DuckDBPyConnection) -> tuple[frozenset[str], int]:
    """The table's columns, and how many rows are judged."""
    try:
        described = connection.execute(f"DESCRIBE {suite.table}").fetchall()
        counted = connection.execute(f"SELECT count(*) FROM ({suite.rows})").fetchone()
    except duckdb.Error as error:
        raise _Unreadable(f"{suite.table} cannot be read ({type(error).__name__})") from None
    return frozenset(str(row[0]) for row in described), int(counted[0]) if counted else 0


def _judge_rows(
    suite: Suite, connection: duckdb.DuckDBPyConnection, rows: int
) -> dict[str, Answer]:
    """Answers to the row rules. This is the one place that chooses how a table is validated."""
    if not suite.row_rules:
        return {}
    if rows <= PANDAS_MAX_ROWS:
        frame = connection.execute(suite.rows).df(date_as_object=True)
        return judge_frame(frame, suite.row_rules)
    return judge_query(connection, suite.rows, suite.row_rules)


def _judge_measures(suite: Suite, connection: duckdb.DuckDBPyConnection) -> dict[str, Answer]:
    """Answers to the measures, as one row of numbers; what has no number has no answer."""
    import pandas as pd

    measured = _measure(suite, connection)
    judged = [rule for rule in suite.measures if rule.id in measured]
    if not judged:
        return {}
    frame = pd.DataFrame({rule.id: [measured[rule.id]] for rule in judged})
    answers = judge_frame(frame, judged)
    return {
        rule.id: Answer(
            answers[rule.id].success,
            int(measured[rule.id]) if rule.counts_rows else None,
            measured[rule.id],
        )
        for rule in judged
    }


def _measure(suite: Suite, connection: duckdb.DuckDBPyConnection) -> dict[str, float]:
    """The measures' numbers by rule id, in one scan; one by one only when that scan fails."""
    rules = suite.measures
    if not rules:
        return {}
    try:
        return _numbers(suite, connection, rules)
    except duckdb.Error:
        numbers: dict[str, float] = {}
        for rule in rules:
            try:
                numbers |= _numbers(suite, connection, [rule])
            except duckdb.Error:
                continue
        return numbers


def _numbers(
    suite: Suite, connection: duckdb.DuckDBPyConnection, rules: Sequence[Rule]
) -> dict[str, float]:
    # The count keeps it one row even where every measure is a query of its own.
    expressions = ", ".join(["count(*)", *(str(rule.measure) for rule in rules)])
    found = connection.execute(
        f"SELECT {expressions} FROM ({ROWS})".replace(ROWS, suite.rows)
    ).fetchone()
    numbers = found[1:] if found else ()
    return {
        rule.id: float(value)
        for rule, value in zip(rules, numbers, strict=True)
        if value is not None
    }


def _result(
    suite: Suite,
    connection: duckdb.DuckDBPyConnection,
    rule: Rule,
    answer: Answer,
    present: frozenset[str],
    rows: int,
) -> GateResult:
    if answer.success is None:
        column = rule.arguments.get("column")
        if rule.measure is not None:
            return _errored(rule, "its SQL failed or there is nothing to measure")
        absent = column is not None and column not in present
        return _errored(
            rule, f"there is no column {column}" if absent else "it could not be evaluated"
        )
    seen = _seen(rule, answer, present, rows)
    if answer.success:
        return GateResult(
            GATE, rule.id, rule.severity, "passed",
            f"Expected that {rule.expected}; so it is ({seen}).",
            failed_count=answer.broken_rows, observed=seen,
        )  # fmt: skip
    return GateResult(
        GATE, rule.id, rule.severity, "failed",
        f"Expected that {rule.expected}; found {seen}.",
        failed_count=answer.broken_rows, observed=seen,
        example_keys=_examples(suite, connection, rule),
    )  # fmt: skip


def _errored(rule: Rule, reason: str) -> GateResult:
    return GateResult(
        GATE, rule.id, rule.severity, "errored",
        f"Expected that {rule.expected}; nobody can say, because {reason}.",
    )  # fmt: skip


def _seen(rule: Rule, answer: Answer, present: frozenset[str], rows: int) -> str:
    """What was seen, in few words."""
    declared = rule.arguments.get("column_set")
    if declared is not None:
        missing, surprising = sorted(set(declared) - present), sorted(present - set(declared))
        said = [f"no {', '.join(missing)}"] if missing else []
        said += [f"{', '.join(surprising)} besides"] if surprising else []
        return "; ".join(said) or f"{len(present)} columns"
    if answer.broken_rows is not None:
        return f"{answer.broken_rows:,} of {rows:,} rows break it"
    if rule.measure is not None and answer.observed is not None:
        return f"{answer.observed:,.6g}"
    return f"{rows:,} rows"


def _examples(suite: Suite, connection: duckdb.DuckDBPyConnection, rule: Rule) -> tuple[str, ...]:
    """A few keys of rows that break the rule; none where the key itself cannot be read."""
    if rule.broken is None:
        return ()
    key = ", ".join(suite.key)
    query = (
        f"SELECT DISTINCT {key} FROM ({ROWS}) WHERE {rule.broken} ORDER BY ALL LIMIT {MAX_EXAMPLES}"
    )
    try:
        found = connection.execute(query.replace(ROWS, suite.rows)).fetchall()
    except duckdb.Error:
        return ()
    return tuple(
        ", ".join(f"{name}={value}" for name, value in zip(suite.key, row, strict=True))
        for row in found
    )
