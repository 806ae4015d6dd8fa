"""A refresh in a process of its own that says where its time went.

``python -m benchmarks._refresh {tables,whole} <result.json>``, with ``SIYU_HOME`` set:

- ``whole`` is what ``python -m orchestration refresh`` does: land, then every layer, training,
  scores and the publication.
- ``tables`` is the same without models, scores and the publication: land, then every table up to
  the features of the as-of day, with every gate in between.

What belongs here: naming the pieces of work, and running them as a person would. What does not:
what the figures mean (the benchmarks).
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks._report import measured
from benchmarks._stopwatch import IMPORTS, Stopwatch

LAND = "landing"
GX_GATES = "gx_gates"
IDENTITY = "identity"
DBT_MODELS = "dbt_models"
DBT_TESTS = "dbt_tests"
# dbt's own work: reading the project, compiling, its adapter.
DBT = "dbt"
MODELS = "models"
PUBLISHING = "publishing"
# What none of these claims: Dagster, the ledger, views of the lake, row counts.
REST = "rest"

# Outside ``tables``: what speaks of models rather than of customers.
_NOT_TABLES = ("models", "ml", "serving")


def _always(name: str) -> Callable[..., str]:
    return lambda *_, **__: name


def _gate(suite: Any, *_: Any, **__: Any) -> str:
    return f"{GX_GATES} {suite.table.partition('.')[0]}"


def _model(_runner: Any, node: Any, *_: Any, **__: Any) -> str:
    return f"{DBT_MODELS} {node.schema}"


# Where each piece of work is done. Whatever imports these functions later gets them watched.
_WORK: tuple[tuple[str, str, Callable[..., str]], ...] = (
    ("siyu.ingestion", "land_entity", _always(LAND)),
    ("expectations.runner", "judge", _gate),
    ("siyu.transform", "run_dbt", _always(DBT)),
    ("dbt.task.run", "ModelRunner.execute", _model),
    ("dbt.task.test", "TestRunner.execute", _always(DBT_TESTS)),
    ("siyu.identity", "resolve", _always(IDENTITY)),
    ("siyu.identity", "IdentityStore.previous", _always(IDENTITY)),
    ("siyu.identity", "IdentityStore.write", _always(IDENTITY)),
    ("siyu.identity", "IdentityStore.write_past", _always(IDENTITY)),
    ("siyu.identity", "past", _always(IDENTITY)),
    ("siyu.identity.resolution", "measure", _always(IDENTITY)),
    ("ml.steps", "train", _always(MODELS)),
    ("ml.steps", "score", _always(MODELS)),
    ("siyu.serving", "publish", _always(PUBLISHING)),
)


def watch(stopwatch: Stopwatch) -> None:
    """Have every piece of work charged; call it before ``orchestration`` is imported."""
    for module, path, name in _WORK:
        holder: Any = importlib.import_module(module)
        *outer, function = path.split(".")
        for part in outer:
            holder = getattr(holder, part)
        setattr(holder, function, stopwatch.wrapped(getattr(holder, function), name))


def refresh(what: str) -> bool:
    """Run the jobs; whether they succeeded."""
    from orchestration.__main__ import main

    if what == "whole":
        return main(["refresh"]) == 0
    return main(["land"]) == 0 and _refresh_tables()


def _refresh_tables() -> bool:
    """The refresh job without what comes after the tables."""
    import dagster as dg

    # The definitions that landing was run from: a refresh loads them once.
    from orchestration.__main__ import _job
    from orchestration.environment import Environment
    from orchestration.lib.instance import open_instance
    from orchestration.resources.workspace import last_complete_day

    job = _job("refresh")
    selection = dg.AssetSelection.all() - dg.AssetSelection.groups(*_NOT_TABLES)
    with open_instance() as instance:
        result = job.execute_in_process(
            instance=instance,
            partition_key=last_complete_day(Environment.load()).isoformat(),
            asset_selection=sorted(selection.resolve(job.asset_layer.asset_graph)),
            run_config={"loggers": {"console": {}}},
            raise_on_error=False,
        )
    return bool(result.success)


def main(what: str, result: Path) -> int:
    """Run, and write what each piece took to ``result``."""
    interpreter = time.process_time()
    stopwatch = Stopwatch(REST)
    with measured() as cost:
        stopwatch.watch_imports()
        with stopwatch.working(IMPORTS):
            watch(stopwatch)
        succeeded = refresh(what)
    stopwatch.settle()
    said = {
        "interpreter_cpu": interpreter,
        "peak_bytes": cost.peak_bytes,
        "spent": {name: asdict(spent) for name, spent in stopwatch.spent.items()},
    }
    if succeeded:
        result.write_text(json.dumps(said, indent=2), "utf-8")
    return 0 if succeeded else 1


if __name__ == "__main__":
    status = main(sys.argv[1], Path(sys.argv[2]))
    # Known only now: whatever is imported before it is watched would not be charged.
    from orchestration.__main__ import leave

    leave(status)
