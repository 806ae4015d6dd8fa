"""What a suite is made of: rules as plain data, and the words to write them in.

What belongs here: ``Rule``, ``Suite`` and one small constructor for each kind of rule. What does
not: the rules of any table (``expectations.suites``), and Great Expectations itself, which takes
seconds to import and which only ``expectations.engine`` touches.

Two kinds of rule. A *row rule* is an expectation over the columns of the table. A *measure* is one
number that SQL takes of the table (or of several: a reconciliation, a share, a count of repeated
keys) and that must lie between two bounds; measures of one table share a scan, and comparing a number
with two bounds needs no library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from siyu.ops import Severity

# Stands for the judged rows (the table, or its judged partition) in the SQL of measures.
ROWS = "{rows}"


@dataclass(frozen=True)
class Rule:
    """One thing that must be so.

    Attributes:
        id: Stable name, unique in its suite.
        expected: What must be so, as a clause that a person understands.
        expectation: Class of ``great_expectations.expectations`` that judges it; None for a measure.
        arguments: The class's arguments; of a measure, the bounds ``min_value`` and ``max_value``.
        severity: ``ERROR`` blocks what reads the table, ``WARN`` does not.
        measure: SQL expression that yields the number to judge; None for a row rule.
        broken: SQL condition of the rows that break the rule, for example keys; None where no
            single row is to blame.
        counts_rows: Whether a measure's number counts rows that break the rule.
        is_share: Whether a measure's number is a share, which is shown in percent.
    """

    id: str
    expected: str
    expectation: str | None
    arguments: Mapping[str, Any]
    severity: Severity = "ERROR"
    measure: str | None = None
    broken: str | None = None
    counts_rows: bool = False
    is_share: bool = False


@dataclass(frozen=True)
class Suite:
    """All that one table must satisfy.

    Attributes:
        table: ``schema.table``.
        key: Columns that name a row; the only ones that results may quote.
        rules: The rules, each with an id of its own.
        where: SQL condition of the judged partition; None for the whole table.

    Raises:
        ValueError: there are no rules, or two share an id.
    """

    table: str
    key: tuple[str, ...]
    rules: tuple[Rule, ...]
    where: str | None = None
    ids: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        ids = [rule.id for rule in self.rules]
        repeated = sorted({name for name in ids if ids.count(name) > 1})
        if repeated:
            raise ValueError(f"{self.table}: rule ids used twice: {', '.join(repeated)}")
        if not ids:
            raise ValueError(f"{self.table}: a suite without rules would pass anything")
        object.__setattr__(self, "ids", frozenset(ids))

    @property
    def rows(self) -> str:
        """The judged rows, as a SQL query."""
        return f"SELECT * FROM {self.table}" + (f" WHERE {self.where}" if self.where else "")

    @property
    def row_rules(self) -> tuple[Rule, ...]:
        """Rules over the table's columns."""
        return tuple(rule for rule in self.rules if rule.measure is None)

    @property
    def measures(self) -> tuple[Rule, ...]:
        """Rules over a number."""
        return tuple(rule for rule in self.rules if rule.measure is not None)


def row_count(least: int = 0, most: int | None = None) -> Rule:
    """The table has at least so many rows, and no more than ``most``."""
    return Rule(
        "row_count", f"the table has at least {least:,} rows", "ExpectTableRowCountToBeBetween",
        {"min_value": least, "max_value": most},
    )  # fmt: skip


def no_rows(why: str) -> Rule:
    """The table is empty, and ``why`` says so."""
    return Rule(
        "no_rows", f"the table has no rows, because {why}", "ExpectTableRowCountToEqual",
        {"value": 0},
    )  # fmt: skip


def columns(names: Iterable[str]) -> Rule:
    """The table has exactly these columns, in any order."""
    names = list(names)
    return Rule(
        "columns", f"the table has exactly its {len(names)} declared columns",
        "ExpectTableColumnsToMatchSet", {"column_set": names, "exact_match": True},
    )  # fmt: skip


def filled(*names: str) -> list[Rule]:
    """Each of the columns has a value in every row."""
    return [
        Rule(
            f"{name}_filled", f"{name} is never empty", "ExpectColumnValuesToNotBeNull",
            {"column": name}, broken=f"{name} IS NULL",
        )
        for name in names
    ]  # fmt: skip


def one_of(name: str, values: Iterable[str], severity: Severity = "ERROR") -> Rule:
    """Where the column has a value, it is one of these."""
    values = list(values)
    return Rule(
        f"{name}_known", f"{name} is one of {', '.join(values)}", "ExpectColumnValuesToBeInSet",
        {"column": name, "value_set": values}, severity,
        broken=f"{name} NOT IN ({', '.join(map(literal, values))})",
    )  # fmt: skip


def between(name: str, least: float | None = None, most: float | None = None) -> Rule:
    """Where the column has a value, it lies between the bounds, both included."""
    limits = [f"at least {least:g}"] if least is not None else []
    limits += [f"at most {most:g}"] if most is not None else []
    outside = [f"{name} < {least}"] if least is not None else []
    outside += [f"{name} > {most}"] if most is not None else []
    return Rule(
        f"{name}_in_range", f"{name} is {' and '.join(limits)}", "ExpectColumnValuesToBeBetween",
        {"column": name, "min_value": least, "max_value": most}, broken=" OR ".join(outside),
    )  # fmt: skip


def measured(
    id: str,  # noqa: A002 - the rule's own word for it
    expected: str,
    expression: str,
    least: float | None = None,
    most: float | None = None,
    severity: Severity = "ERROR",
    broken: str | None = None,
    counts_rows: bool = False,
) -> Rule:
    """A number lies between the bounds, both included; no number at all is an error."""
    return Rule(
        id, expected, None, {"min_value": least, "max_value": most}, severity,
        measure=expression, broken=broken, counts_rows=counts_rows,
    )  # fmt: skip


def share(
    rule_id: str,
    expected: str,
    expression: str,
    least: float | None = None,
    most: float | None = None,
    severity: Severity = "ERROR",
) -> Rule:
    """A share (1 is all) lies between the bounds, both included; it is shown in percent."""
    return replace(measured(rule_id, expected, expression, least, most, severity), is_share=True)


def never(rule_id: str, expected: str, broken: str, severity: Severity = "ERROR") -> Rule:
    """No row meets the condition ``broken``; a condition on empty values is not met."""
    return measured(
        rule_id, expected, f"count(*) FILTER (WHERE {broken})", most=0, severity=severity,
        broken=broken, counts_rows=True,
    )  # fmt: skip


def unique(key: Iterable[str]) -> Rule:
    """No two rows share the key.

    A measure, not Great Expectations' own uniqueness: that ranks the table twice in window
    functions, four times the work of one GROUP BY (docs/decisions/041).
    """
    names = ", ".join(key)
    repeated = f"SELECT {names} FROM ({ROWS}) GROUP BY {names} HAVING count(*) > 1"
    return measured(
        "key_unique", f"no two rows share {names}",
        "(SELECT coalesce(sum(copies - 1), 0) FROM (SELECT count(*) AS copies "
        f"FROM ({ROWS}) GROUP BY {names} HAVING count(*) > 1))",
        most=0, broken=f"({names}) IN ({repeated})", counts_rows=True,
    )  # fmt: skip


def literal(value: str) -> str:
    """A text as SQL."""
    return "'" + value.replace("'", "''") + "'"
