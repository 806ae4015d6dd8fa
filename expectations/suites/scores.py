"""Suite of ``ml.customer_scores``.

What belongs here: what must hold of scores before anyone acts on them, whatever model made them.
What does not: whether a model is good enough to be used, which is decided before it scores
(``ml``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

from expectations.rules import (
    ROWS,
    Rule,
    Suite,
    between,
    filled,
    literal,
    measured,
    never,
    one_of,
    row_count,
    unique,
)
from siyu.retailer import ModelSettings, Retailer

SCORES = "ml.customer_scores"
_KEY = ("customer_id", "as_of_date", "model_name", "model_version")
_FILLED = ("task", "horizon_days", "p_raw", "p_calibrated", "decile", "risk_band", "feature_hash",
           "run_id")  # fmt: skip


def scores_suite(retailer: Retailer, as_of: date | None) -> Suite:
    """What the scores must satisfy, those of one day or of all."""
    where = f"as_of_date = DATE '{as_of}'" if as_of else None
    return Suite(SCORES, _KEY, tuple(_rules(retailer)), where)


def _rules(retailer: Retailer) -> Iterator[Rule]:
    # A warning: a young retailer has no champion, and its marts are published all the same. A champion
    # that scores nobody fails the scoring step; one that leaves somebody out, `covers_population`.
    yield replace(row_count(1), severity="WARN")
    yield from filled(*_KEY, *_FILLED)
    yield unique(_KEY)
    yield between("p_raw", 0, 1)
    yield between("p_calibrated", 0, 1)
    yield between("decile", 1, 10)
    yield one_of("task", retailer.models)
    yield one_of("risk_band", ("high", "medium", "low"))
    yield never(
        "reason_given",
        "every score has a first reason",
        "reason_1 IS NULL OR reason_1_zh IS NULL",
    )
    yield measured(
        "deciles_present",
        "every model fills all ten deciles of a day, or one for each customer where there are fewer",
        "(SELECT coalesce(max(least(10, customers) - deciles), 0) FROM (SELECT count(*) AS"
        f" customers, count(DISTINCT decile) AS deciles FROM ({ROWS})"
        " GROUP BY as_of_date, model_name, model_version))",
        most=0,
    )
    for task, settings in retailer.models.items():
        yield from _task_rules(task, settings, retailer)


def _task_rules(task: str, settings: ModelSettings, retailer: Retailer) -> Iterator[Rule]:
    of_task = f"task = {literal(task)}"
    population = (
        "f.recency_days IS NOT NULL"
        if settings.active_days is None
        else f"f.recency_days < {settings.active_days}"
    )
    # A warning: a retailer's first model may have been refused, and the other still serves.
    yield measured(
        f"{task}_scored",
        f"there are scores for {task}",
        f"count(*) FILTER (WHERE {of_task})",
        least=1,
        severity="WARN",
    )
    yield measured(
        f"{task}_covers_population",
        f"every customer of the {task} population on a scored day has a score of its model",
        "(SELECT count(*) FROM features.customer_features AS f JOIN (SELECT DISTINCT as_of_date,"
        f" model_name, model_version FROM ({ROWS}) WHERE {of_task}) AS m USING (as_of_date)"
        f" LEFT JOIN ({ROWS}) AS s USING (customer_id, as_of_date, model_name, model_version)"
        f" WHERE {population} AND s.task IS NULL)",
        most=0,
        counts_rows=True,
    )
    most = retailer.threshold("max_score_bias")
    base_rate = (
        f"(SELECT avg(CAST(l.{task}_label AS DOUBLE)) FROM features.customer_labels AS l"
        " JOIN features.customer_features AS f USING (customer_id, as_of_date)"
        f" WHERE l.{task}_label IS NOT NULL AND {population})"
    )
    yield measured(
        f"{task}_near_base_rate",
        f"the mean probability of {task} is within {most:g} of the share seen in past labels",
        f"CASE WHEN count(*) FILTER (WHERE {of_task}) = 0 THEN 0 ELSE"
        f" abs(avg(p_calibrated) FILTER (WHERE {of_task}) - {base_rate}) END",
        most=most,
    )
