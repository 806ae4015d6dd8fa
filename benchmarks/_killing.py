"""Killing a run in the middle, and what there must be afterwards.

What belongs here: running a job in a process of its own until a moment that the caller knows by the
run's progress, reading the publication meanwhile, and taking down what a home holds. What does not:
which moments (the benchmark, the pipeline tests).
"""

from __future__ import annotations

import os
import re
import select
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import duckdb
from deltalake import DeltaTable

from siyu.config import REPO
from siyu.contracts import contracts
from siyu.dictionary import read_models
from siyu.identity import IdentityStore
from siyu.lake import Lake, active_files, literal
from siyu.ops import Ledger
from siyu.paths import Paths

# The line of a step that succeeded (orchestration/lib/progress.py).
_STEP = re.compile(r"  ✓ (\S+)")
_TICKS = os.sysconf("SC_CLK_TCK")
# Seconds between two looks at a run; a refresh does little in so short a time.
_LOOK = 0.005
# Seconds between two readings of the publication, when nothing about it has changed.
_READ = 1.0

_PUBLISHED = ("unified", "marts", "features", "ops", "ml")
# When and by which run, not what: a run that is killed and run again has other ones.
STAMPS = frozenset({"run_id", "updated_run_id", "known_at", "_known_at"})
# Of what landed: also when, and what is sealed under another key each time.
_STAMPS_OF_LANDED = STAMPS | {"_loaded_at", "loaded_at", "sealed_key", "sealed"}
# Ids that are made of the run.
_STAMPS_OF = {"unified.identity_event": frozenset({"event_id"})}

# Rows and a hash of them by ``schema.table``.
Contents = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Step:
    """A step that succeeded.

    Attributes:
        name: As the progress names it, such as ``lake/orders``.
        cpu_seconds: CPU seconds of the process since the step before it, or since its start.
    """

    name: str
    cpu_seconds: float


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        steps: What has succeeded, in order.
        cpu_seconds: CPU seconds since the last of them.
    """

    steps: list[Step] = field(default_factory=list)
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        code: Exit status; negative is the signal.
        progress: How far it came.
        output: What it printed.
    """

    code: int
    progress: Progress
    output: str


def run(
    job: str,
    environment: Mapping[str, str],
    now: Callable[[Progress], bool] | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> Ended:
    """Run ``python -m orchestration <job>``, and kill it when it has come to a moment.

    Args:
        job: The job.
        environment: Variables besides this process's own.
        now: Whether this is the moment; None lets the run come to its end.
        meanwhile: Called every few milliseconds.
    """
    progress, printed = Progress(), ""
    with subprocess.Popen(
        [sys.executable, "-m", "orchestration", job],
        cwd=REPO,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None  # it was asked for
        before, unread = 0.0, b""
        while True:
            ready, _, _ = select.select([process.stdout], [], [], _LOOK)
            if ready:
                read = os.read(process.stdout.fileno(), 65536)
                if not read:
                    break
                *lines, unread = (unread + read).split(b"\n")
                spent = _cpu_seconds(process.pid)
                for line in lines:
                    printed += f"{line.decode()}\n"
                    if step := _STEP.match(line.decode()):
                        progress.steps.append(Step(step[1], spent - before))
                        before = spent
            progress.cpu_seconds = _cpu_seconds(process.pid) - before
            if now is not None and now(progress):
                process.kill()
                break
            if meanwhile is not None:
                meanwhile()
    return Ended(process.returncode, progress, printed)


class Reader:
    """Somebody who reads the publication all the time, as BI does."""

    def __init__(self, paths: Paths) -> None:
        self._link = paths.serving / "current"
        self._read_at = 0.0
        self._target = ""
        self.readings = 0

    def look(self) -> None:
        """Read every published table, when the publication has changed or some time has passed.

        Raises:
            duckdb.Error: what is published cannot be read.
            OSError: nothing is published.
        """
        target = str(self._link.readlink())
        if target == self._target and time.monotonic() - self._read_at < _READ:
            return
        with duckdb.connect(str(self._link / "siyu.duckdb"), read_only=True) as connection:
            for table in _tables(connection):
                connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        self._target, self._read_at = target, time.monotonic()
        self.readings += 1


@dataclass(frozen=True)
class Held:
    """What a home holds when no run is at work, run stamps aside.

    Attributes:
        landed: Of the lake by entity, and of the quarantine.
        tables: Of the warehouse, those that are published.
        published: Of the publication.
        identity: Customer of each identifier.
        open_runs: Runs that are said to be going on, by where that is said.
        blocked: Tables that stop what reads them.
        litter: What nobody will ever read.
    """

    landed: Contents
    tables: Contents
    published: Contents
    identity: Mapping[str, str | None]
    open_runs: Sequence[str]
    blocked: Sequence[str]
    litter: Sequence[str]

    def differences(self, undisturbed: Held) -> list[str]:
        """In what this differs from what there is without a kill; empty when it does not."""
        found = [
            f"{where} {table}: {ours.get(table)} instead of {theirs.get(table)}"
            for where, ours, theirs in (
                ("landed", self.landed, undisturbed.landed),
                ("warehouse", self.tables, undisturbed.tables),
                ("publication", self.published, undisturbed.published),
            )
            for table in sorted({*ours, *theirs})
            if ours.get(table) != theirs.get(table)
        ]
        if self.identity != undisturbed.identity:
            found.append("the identity map")
        said = {"still open": self.open_runs, "blocked": self.blocked, "left behind": self.litter}
        return found + [f"{what}: {one}" for what, ones in said.items() for one in ones]


def held(paths: Paths) -> Held:
    """Take down what a home holds."""
    with duckdb.connect(str(paths.serving / "current" / "siyu.duckdb"), read_only=True) as current:
        published = contents(current)
    with duckdb.connect(str(paths.warehouse), read_only=True) as warehouse:
        tables = contents(warehouse, among=set(published))
    people = IdentityStore(paths).previous().to_pylist()
    ledger = Ledger(paths.ops)
    return Held(
        landed=landed(paths),
        tables=tables,
        published=published,
        identity={row["identifier"]: row["customer_id"] for row in people},
        open_runs=[*_open_in_dagster(paths), *_open_in_ledger(ledger), *_open_in_mlflow(paths)],
        blocked=[str(block) for block in ledger.blocks(ledger.all_tables())],
        litter=[
            str(place.relative_to(paths.root))
            for place in (*paths.serving.glob(".*"), *paths.scratch.glob("*"))
        ],
    )


def contents(
    connection: duckdb.DuckDBPyConnection, among: set[str] | None = None
) -> dict[str, tuple[int, int]]:
    """Rows of tables, and a hash that depends neither on their order nor on run stamps.

    Args:
        connection: A warehouse or a publication.
        among: ``schema.table`` of those to read; None reads all of the published layers.
    """
    found = {}
    for table in _tables(connection):
        if among is not None and table not in among:
            continue
        found[table] = _content(connection, table, STAMPS | _STAMPS_OF.get(table, frozenset()))
    return found


def landed(paths: Paths) -> dict[str, tuple[int, int]]:
    """The same of what is in the lake, by entity, and of the quarantine."""
    lake = Lake(paths)
    rows = {f"lake.{entity}": lake.query(entity) for entity in contracts() if lake.files(entity)}
    quarantine = DeltaTable(str(paths.quarantine))
    files = ", ".join(map(literal, active_files(quarantine)))
    rows["quarantine"] = f"SELECT * FROM read_parquet([{files}], hive_partitioning = true)"
    with duckdb.connect() as connection:
        return {
            name: _content(connection, f"({query})", _STAMPS_OF_LANDED)
            for name, query in rows.items()
        }


def _content(
    connection: duckdb.DuckDBPyConnection, table: str, stamps: Set[str]
) -> tuple[int, int]:
    """Rows of a table, and a hash of them without their stamps."""
    columns = [str(row[0]) for row in connection.execute(f"DESCRIBE FROM {table}").fetchall()]
    kept = ", ".join(f'"{column}"' for column in columns if column not in stamps)
    row = connection.execute(
        f"SELECT count(*), coalesce(sum(CAST(hash(r) AS HUGEINT)), 0) "
        f"FROM (SELECT {kept} FROM {table}) AS r"
    ).fetchone()
    assert row is not None  # a count always is one
    return int(row[0]), int(row[1])


def _tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    rows = connection.execute(
        "SELECT table_schema || '.' || table_name FROM information_schema.tables "
        "WHERE list_contains(?, table_schema) AND table_type = 'BASE TABLE' ORDER BY 1",
        [list(_PUBLISHED)],
    ).fetchall()
    # What a publication says of its run (siyu.serving.records) is another's after every run.
    tables = [str(row[0]) for row in rows]
    return [table for table in tables if not table.startswith("ops.") or table in _modelled()]


@cache
def _modelled() -> frozenset[str]:
    """``schema.table`` of every described dbt model."""
    return frozenset(f"{model.layer}.{model.name}" for model in read_models())


def _open_in_dagster(paths: Paths) -> list[str]:
    ended = ("SUCCESS", "FAILURE", "CANCELED")
    with closing(sqlite3.connect(paths.dagster / "history" / "runs.db")) as connection:
        rows = connection.execute("SELECT run_id, status FROM runs").fetchall()
    return [f"Dagster's run {run_id} {status}" for run_id, status in rows if status not in ended]


def _open_in_ledger(ledger: Ledger) -> list[str]:
    rows = ledger.rows("SELECT run_id FROM run WHERE status = 'started'")
    return [f"the ledger's run {row['run_id']}" for row in rows]


def _open_in_mlflow(paths: Paths) -> list[str]:
    database = paths.mlflow / "mlflow.db"
    if not database.exists():
        return []
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT name FROM runs WHERE status = 'RUNNING'").fetchall()
    return [f"MLflow's run {row[0]}" for row in rows]


def _cpu_seconds(pid: int) -> float:
    """CPU seconds of a process so far; 0 when it has ended."""
    try:
        said = Path(f"/proc/{pid}/stat").read_text("ascii")
    except OSError:
        return 0.0
    # The command in parentheses may hold spaces; the 12th and 13th field after it are user and
    # system time.
    user, system = said.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICKS
