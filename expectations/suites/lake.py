"""Suites of the lake: one per canonical entity, generated from its contract.

What belongs here: what must hold of a landed entity and of the manifests that landed it. What does
not: references between entities and anything derived (``expectations.suites.unified``, dbt tests).
Landing already refuses a row that breaks its contract; these suites hold the table to it whatever
wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Literal

from expectations.rules import (
    ROWS,
    Rule,
    Suite,
    between,
    columns,
    filled,
    literal,
    measured,
    never,
    no_rows,
    one_of,
    row_count,
    share,
)
from siyu.contracts import Column, Contract
from siyu.ops import Severity
from siyu.retailer import Retailer

# A day with fewer rows than this on such a weekday says nothing by being thin, and fewer rejected rows
# than this nothing about a landing: one bad row of three is no reason to stop.
_FEW_ROWS = 10
_WEEKS = 8
_WEEKS_NEEDED = 4

# Clocks of source systems run ahead, and a day's file may be stamped at its end.
_FUTURE = "INTERVAL 1 DAY"

# Batches with the rows that quarantine still holds of them: released ones have come in since.
_HELD = (
    "(SELECT batch.*, quarantined - coalesce(released.rows, 0) AS held "
    "FROM lake.batch LEFT JOIN lake.released USING (batch_id))"
)


def lake_suite(contract: Contract, retailer: Retailer) -> Suite:
    """What the entity's table must satisfy for this retailer."""
    table = f"lake.{contract.entity}"
    if contract.entity not in retailer.mappings:
        why = f"{retailer.name} has no {contract.entity}.sql"
        return Suite(table, contract.key, (no_rows(why), _columns(contract)))
    return Suite(table, contract.key, tuple(_rules(contract, retailer)))


def _rules(contract: Contract, retailer: Retailer) -> Iterator[Rule]:
    yield row_count(retailer.entity(contract.entity).min_rows)
    yield _columns(contract)
    yield from filled(*(column.name for column in contract.lake_columns if column.required))
    for column in contract.columns:
        yield from _column_rules(column, retailer)
    yield from _event_rules(contract, retailer)
    yield from _key_rules(contract, retailer)
    yield from _manifest_rules(contract, retailer)


def _columns(contract: Contract) -> Rule:
    return columns(column.name for column in contract.lake_columns)


def _column_rules(column: Column, retailer: Retailer) -> Iterator[Rule]:
    if column.values:
        yield one_of(column.name, column.values)
    if column.min is not None or column.max is not None:
        yield between(column.name, column.min, column.max)
    if column.kind is not None:
        token = f"{column.name}_token"
        yield never(
            f"{token}_is_token",
            f"{token} holds tokens, never the value itself",
            f"NOT regexp_full_match({token}, '[a-z_]+:[0-9a-f]{{32}}')",
        )
    if column.type == "identifier":
        # One pattern, as a comparison for each costs a third more; without any, none fits.
        namespaces = "|".join(map(re.escape, retailer.identifiers)) or r"[^\s\S]"
        yield never(
            f"{column.name}_namespaced",
            f"{column.name} begins with one of the namespaces {', '.join(retailer.identifiers)}",
            f"NOT regexp_matches({column.name}, {literal(f'^({namespaces}):')})",
        )


def _event_rules(contract: Contract, retailer: Retailer) -> Iterator[Rule]:
    if contract.event_time is None:
        return
    first, last = retailer.history_from, retailer.history_to
    outside = f"_event_date < DATE '{first}'" + (f" OR _event_date > DATE '{last}'" if last else "")
    yield never(
        "event_in_history",
        f"events lie from {first} on" + (f" to {last}" if last else ""),
        outside,
    )
    yield never(
        "event_not_in_future",
        "no event lies more than a day after its row was landed",
        f"_event_at > _loaded_at + {_FUTURE}",
    )


def _key_rules(contract: Contract, retailer: Retailer) -> Iterator[Rule]:
    """A key stands for one thing: of two rows that share it, staging takes the newer one."""
    inputs = _inputs(contract, retailer)
    if len(inputs) < 2 or retailer.entity(contract.entity).keys_from_several_inputs:
        return
    key = ", ".join(contract.key)
    # Pair by pair, which asks a fifth of what grouping all rows by their key does.
    shared = " UNION ".join(
        f"SELECT DISTINCT {key} FROM ({ROWS}) WHERE _source = {literal(one)} AND ({key}) IN "
        f"(SELECT {key} FROM ({ROWS}) WHERE _source = {literal(other)})"
        for one, other in combinations(inputs, 2)
    )
    yield measured(
        "key_from_one_input",
        f"no {key} comes from more than one of {', '.join(inputs)}",
        f"(SELECT count(*) FROM ({shared}))",
        most=0, severity="WARN", broken=f"({key}) IN ({shared})",
    )  # fmt: skip


def _manifest_rules(contract: Contract, retailer: Retailer) -> Iterator[Rule]:
    batches = f"FROM lake.batch WHERE entity = {literal(contract.entity)}"
    held = f"FROM {_HELD} WHERE entity = {literal(contract.entity)}"
    most = retailer.entity(contract.entity).max_quarantined_share
    yield share(
        "quarantined_share",
        f"at most {most:.2%} of the rows that came in are quarantined",
        f"(SELECT sum(held) / sum(rows_in) {held})",
        most=most,
    )
    for source in _inputs(contract, retailer):
        theirs = f"{held} AND source = {literal(source)}"
        yield share(
            f"{source}_quarantined_share",
            f"at most {most:.2%} of the rows that came in from {source} are quarantined",
            f"(SELECT coalesce(sum(held) / sum(rows_in), 0) {theirs})",
            most=most,
        )
        # A closed data set lands whole and has no next day.
        if retailer.history_to is None:
            yield from _newest_rules(source, theirs, most)
            yield from _volume_rules(contract, retailer, source)
    yield measured(
        "batches_account",
        "in every batch, rows in are accepted, duplicate, quarantined or suppressed",
        f"(SELECT coalesce(sum(abs(rows_in - accepted - duplicates - quarantined - suppressed)), 0)"
        f" {batches})",
        most=0,
    )
    # Where retailer.yaml names the day, batches need not.
    dating = sorted(
        name
        for name, source in retailer.inputs.items()
        if source.required and source.complete_through is None
    )
    if dating and contract.event_time:
        yield measured(
            "complete_through_said",
            f"{', '.join(dating)}, where they feed this, say through which day they are complete",
            "(SELECT count(*) FROM (SELECT source FROM lake.batch"
            f" WHERE source IN ({', '.join(map(literal, dating))})"
            f" AND source IN (SELECT source {batches})"
            " GROUP BY source HAVING count(complete_through) = 0))",
            most=0,
        )


def _newest_rules(source: str, held: str, most: float) -> Iterator[Rule]:
    """No batch of the newest day of landing is quarantined by more than a share.

    Years of good history, or a large batch beside it, do not hide a bad one.

    Args:
        source: The input.
        held: SQL of its batches.
        most: Share above which it stops; above half of it, it warns.
    """
    newest = f"{held} AND loaded_at > (SELECT max(loaded_at) - INTERVAL 1 DAY {held})"
    worst = f"(SELECT coalesce(max(held / rows_in), 0) {newest} AND rows_in > 0"
    yield share(
        f"{source}_newest_quarantined_share_low",
        f"at most {most / 2:.2%} of the rows of any batch that {source} landed within a day of its "
        "newest are quarantined",
        f"{worst})",
        most=most / 2,
        severity="WARN",
    )
    yield share(
        f"{source}_newest_quarantined_share",
        f"at most {most:.2%} of the rows of any batch that {source} landed within a day of its newest "
        f"are quarantined, where those are {_FEW_ROWS} or more",
        f"{worst} AND held >= {_FEW_ROWS})",
        most=most,
    )


def _inputs(contract: Contract, retailer: Retailer) -> list[str]:
    """Inputs that the entity's mapping mentions; one that brings nothing breaks no rule."""
    text = retailer.mappings[contract.entity].read_text("utf-8")
    words = set(re.findall(r"\w+", text.lower()))
    return [name for name, s in retailer.inputs.items() if name in words and not s.lookup]


def _volume_rules(contract: Contract, retailer: Retailer, source: str) -> Iterator[Rule]:
    """The last complete day has about as many rows as that weekday had before.

    What a refresh waits for stops it. Other inputs warn, and only where rows come on every such
    weekday, as campaigns and counts of stock bring none on most.
    """
    if contract.event_time is None:
        return
    flows = any(s.required for s in retailer.inputs.values())
    waited_for = (
        retailer.inputs[source].required if flows else contract.entity in ("orders", "order_lines")
    )
    usual = _share_of_usual(contract, retailer, source, "median" if waited_for else "min")
    levels: tuple[tuple[str, Severity], ...] = (("volume_usual", "WARN"), ("volume_kept", "ERROR"))
    for level, severity in levels if waited_for else levels[:1]:
        least = retailer.threshold(f"min_{level}")
        yield share(
            f"{source}_{level}",
            f"the last complete day of {source} has at least {least:.0%} of the rows that are usual "
            f"on its weekday (median of the last {_WEEKS})",
            usual,
            least=least,
            severity=severity,
        )


def _share_of_usual(
    contract: Contract, retailer: Retailer, source: str, enough: Literal["median", "min"]
) -> str:
    """SQL of the last complete day's rows over the usual ones; 1 where nothing is usual yet.

    Args:
        contract: Of the entity.
        retailer: Says the day, where batches do not.
        source: The input.
        enough: Which of the weekdays before must have had more than a few rows.
    """
    said = retailer.inputs[source].complete_through
    # One day however many batches there are.
    day = f"max(DATE '{said}')" if said else "max(complete_through)"
    rows = f"(SELECT _event_date FROM lake.{contract.entity} WHERE _source = {literal(source)})"
    return (
        "(SELECT coalesce(CASE WHEN count(*) >= "
        f"{_WEEKS_NEEDED} AND {enough}(n) >= {_FEW_ROWS} THEN any_value(newest) / median(n) END, 1) "
        "FROM (SELECT week, count(happened._event_date) AS n, any_value((SELECT count(*) FROM "
        f"{rows} AS today WHERE today._event_date = day)) AS newest FROM ("
        f"SELECT day, CAST(week AS INTEGER) AS week FROM (SELECT {day} AS day FROM lake.batch "
        f"WHERE entity = {literal(contract.entity)} AND source = {literal(source)}), "
        f"range(1, {_WEEKS + 1}) AS weeks(week)) AS weekday "
        f"LEFT JOIN {rows} AS happened ON happened._event_date = day - 7 * week "
        f"WHERE day - 7 * week >= (SELECT min(_event_date) FROM {rows} AS ever) GROUP BY week))"
    )
