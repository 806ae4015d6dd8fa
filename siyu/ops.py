"""The ledger of what was written, what the gates said of it, and what is published.

A small SQLite file beside the warehouse: it can be read while a run writes the warehouse, survives
a rebuild, and is copied into the ``ops`` schema of every publication. What belongs here: table
versions, gate results, publications, and the question whether a step may run. What does not:
ingestion manifests, which are in the Delta log of the lake, or how a table is judged
(``expectations``).
"""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa

Severity = Literal["ERROR", "WARN"]
Outcome = Literal["passed", "failed", "errored"]
# What a rule means for the tables in force, best first.
Effect = Literal["passed", "warns", "blocks"]

# How a day of a table that is kept by day is made again.
_AGAIN_BY_DAY = "refresh, or backfill that day alone (run the score job as of it)"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS table_version (
    table_name TEXT NOT NULL, version TEXT NOT NULL, run_id TEXT NOT NULL, gates TEXT NOT NULL,
    as_of_date TEXT, row_count INTEGER, started_at TEXT NOT NULL, written_at TEXT,
    PRIMARY KEY (table_name, version));
CREATE TABLE IF NOT EXISTS table_by_day (table_name TEXT PRIMARY KEY);
CREATE VIEW IF NOT EXISTS version_in_force AS
    SELECT * FROM (
        SELECT *, row_number() OVER (
            PARTITION BY table_name,
                CASE WHEN table_name IN (SELECT table_name FROM table_by_day) THEN as_of_date END
            ORDER BY started_at DESC, rowid DESC) AS age
        FROM table_version)
    WHERE age = 1;
CREATE TABLE IF NOT EXISTS gate_result (
    table_name TEXT NOT NULL, version TEXT NOT NULL, gate TEXT NOT NULL, rule TEXT NOT NULL,
    severity TEXT NOT NULL, outcome TEXT NOT NULL, failed_count INTEGER, observed TEXT,
    example_keys TEXT NOT NULL, message TEXT NOT NULL, run_id TEXT NOT NULL,
    judged_at TEXT NOT NULL,
    PRIMARY KEY (table_name, version, gate, rule));
CREATE TABLE IF NOT EXISTS judgement (
    table_name TEXT NOT NULL, version TEXT NOT NULL, gate TEXT NOT NULL, basis TEXT NOT NULL,
    run_id TEXT NOT NULL, judged_at TEXT NOT NULL,
    PRIMARY KEY (table_name, version, gate));
CREATE TABLE IF NOT EXISTS table_basis (
    table_name TEXT NOT NULL, version TEXT NOT NULL, basis TEXT NOT NULL,
    PRIMARY KEY (table_name, version));
CREATE TABLE IF NOT EXISTS publication_basis (
    run_id TEXT PRIMARY KEY, basis TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS run (
    run_id TEXT PRIMARY KEY, job TEXT NOT NULL, as_of_date TEXT, started_at TEXT NOT NULL,
    ended_at TEXT, status TEXT NOT NULL, error TEXT);
CREATE TABLE IF NOT EXISTS publication (
    run_id TEXT PRIMARY KEY, as_of_date TEXT NOT NULL, folder TEXT NOT NULL,
    published_at TEXT NOT NULL);
"""


class GateBlocked(Exception):
    """A step may not run: the newest version of a table it reads has not passed its gates."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = tuple(blocks)
        super().__init__(
            "; ".join(
                f"{', '.join(places)}: {reason} ({remedy})"
                for (reason, remedy), places in by_reason(blocks).items()
            )
        )


@dataclass(frozen=True)
class GateResult:
    """What one rule of one gate said of one version of a table.

    Attributes:
        gate: Which gate judged (``gx``, ``dbt``, …).
        rule: Name of the rule inside the gate.
        severity: ``ERROR`` blocks what is below, ``WARN`` does not.
        outcome: ``errored`` means the rule could not be evaluated; it blocks like a failure.
        failed_count: Rows that broke the rule, where it counts rows.
        observed: What was seen, as short text.
        example_keys: A few keys of rows that broke it; never a direct identifier.
        message: One sentence for a person: what was expected, what was found.
    """

    gate: str
    rule: str
    severity: Severity
    outcome: Outcome
    message: str
    failed_count: int | None = None
    observed: str = ""
    example_keys: tuple[str, ...] = ()

    @property
    def blocks(self) -> bool:
        """Whether this result stops what is below."""
        return self.outcome != "passed" and self.severity == "ERROR"


@dataclass(frozen=True)
class Verdict:
    """What a gate said of a version, and in which run."""

    results: tuple[GateResult, ...]
    run_id: str


@dataclass(frozen=True)
class Standing:
    """A version that follows from what there still is, and that no gate stops.

    Attributes:
        version: Its name.
        run_id: The run that wrote it.
        row_count: Rows of the table then, where they were counted.
        written_at: When its write ended (UTC, ISO).
    """

    version: str
    run_id: str
    row_count: int | None
    written_at: str


@dataclass(frozen=True)
class Version:
    """A version in force: the newest of a table, or of one day of a table that is kept by day.

    Attributes:
        table: ``schema.table``.
        as_of: The day that it speaks of.
        by_day: Whether the table is kept by as-of day.
        started_at: When its write began (UTC, ISO).
    """

    table: str
    as_of: date | None
    by_day: bool
    started_at: str


@dataclass(frozen=True)
class Block:
    """Why a table stops what reads it, and what to do.

    Attributes:
        table: ``schema.table``.
        reason: Why.
        remedy: What to do.
        results: The rules that failed, where that is why.
        day: Which day of a table that is kept by as-of day.
    """

    table: str
    reason: str
    remedy: str
    results: tuple[GateResult, ...] = field(default=())
    day: date | None = None

    @property
    def place(self) -> str:
        """The table, and which day of it."""
        return self.table if self.day is None else f"{self.table} as of {self.day}"

    def __str__(self) -> str:
        return f"{self.place}: {self.reason} ({self.remedy})"


def by_reason(blocks: Iterable[Block]) -> dict[tuple[str, str], list[str]]:
    """Places by why they block and what to do; a layer that broke off is one thing to mend."""
    found: dict[tuple[str, str], list[str]] = {}
    for block in blocks:
        found.setdefault((block.reason, block.remedy), []).append(block.place)
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Ledger:
    """The ledger in one SQLite file; created when missing.

    Each thread keeps its connection for as long as the ledger lives: a run asks hundreds of times, and
    with the last connection closed SQLite writes all of its log to the file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._kept = threading.local()

    def close(self) -> None:
        """Close this thread's connection; the next question opens another."""
        connection: sqlite3.Connection | None = self._kept.__dict__.pop("connection", None)
        if connection is not None:
            connection.close()

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        """This thread's connection, in a transaction that ends with the block."""
        # A file that was put in place of the one that is open, by a restore, is another ledger.
        file = self._file.stat().st_ino if self._file.exists() else None
        if file is None or self._kept.__dict__.get("file") != file:
            self.close()
        if "connection" not in self._kept.__dict__:
            self._kept.connection = self._opened()
            self._kept.file = self._file.stat().st_ino
        connection: sqlite3.Connection = self._kept.connection
        with connection:
            yield connection

    def _opened(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._file, timeout=30)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_SCHEMA)
        return connection

    def begin_write(
        self,
        table: str,
        run_id: str,
        gates: Iterable[str],
        as_of: date | None = None,
        version: str | None = None,
        *,
        by_day: bool = False,
    ) -> str:
        """Say that a new version of a table is being written, before the first row is.

        From here on the table blocks what reads it until every gate named has passed.

        Args:
            table: ``schema.table``.
            run_id: The run that writes.
            gates: Gates that must judge this version.
            as_of: The day that the version speaks of.
            version: Name of the version, where the table has one of its own (a Delta version);
                one already known keeps its results.
            by_day: Whether the table is kept by as-of day: the version is that of this day alone,
                and those of all other days stay in force.

        Returns:
            The version's name.
        """
        version = version or uuid.uuid4().hex
        with self._connect() as connection:
            connection.execute(
                "INSERT INTO table_version (table_name, version, run_id, gates, as_of_date, "
                "started_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (table, version, run_id, json.dumps(sorted(gates)), _iso(as_of), _now()),
            )
            if by_day:
                connection.execute("INSERT OR IGNORE INTO table_by_day VALUES (?)", (table,))
        return version

    def end_write(
        self, table: str, version: str, row_count: int | None, basis: str | None = None
    ) -> None:
        """Say that the version is whole.

        Args:
            table: ``schema.table``.
            version: From ``begin_write``.
            row_count: Rows of the table, where they were counted.
            basis: Text that changes when anything does that the version follows from, for
                ``standing``; None when it is to be written anew every time.
        """
        with self._connect() as connection:
            connection.execute(
                "UPDATE table_version SET written_at = ?, row_count = ? "
                "WHERE table_name = ? AND version = ?",
                (_now(), row_count, table, version),
            )
            if basis is not None:
                connection.execute(
                    "INSERT OR REPLACE INTO table_basis VALUES (?, ?, ?)", (table, version, basis)
                )

    def standing(self, table: str, basis: str, as_of: date | None = None) -> Standing | None:
        """The newest version of a table, when it follows from this basis and blocks nothing.

        Args:
            table: ``schema.table``.
            basis: What a version that is written now would follow from.
            as_of: The only partition asked about, of a table kept by as-of date.
        """
        with self._connect() as connection:
            newest = self._newest(connection, table, as_of)
            if newest is None or self._blocks(connection, table, as_of):
                return None
            same = connection.execute(
                "SELECT 1 FROM table_basis WHERE table_name = ? AND version = ? AND basis = ?",
                (table, newest["version"], basis),
            ).fetchone()
        if same is None:
            return None
        return Standing(
            newest["version"], newest["run_id"], newest["row_count"], newest["written_at"]
        )

    def newest(self, table: str, as_of: date | None = None) -> str | None:
        """The newest version of a table (of its partition ``as_of``), or None."""
        with self._connect() as connection:
            row = self._newest(connection, table, as_of)
        return None if row is None else str(row["version"])

    def newest_versions(self, tables: Iterable[str]) -> dict[str, str | None]:
        """The newest version of each of the tables; None where there is none, or none yet whole."""
        with self._connect() as connection:
            found = {table: self._newest(connection, table, None) for table in tables}
        return {
            table: None if row is None or row["written_at"] is None else row["version"]
            for table, row in found.items()
        }

    def in_force(self, tables: Iterable[str]) -> list[Version]:
        """The versions that the tables consist of, in the order of the tables and of days."""
        with self._connect() as connection:
            rows = [row for table in tables for row in self._in_force(connection, table, None)]
        return [
            Version(
                row["table_name"], _day(row["as_of_date"]), bool(row["by_day"]), row["started_at"]
            )
            for row in rows
        ]

    def newest_as_of(self, table: str) -> date:
        """The day that the newest version of a table speaks of.

        Raises:
            GateBlocked: the table was never written.
        """
        with self._connect() as connection:
            row = self._newest(connection, table, None)
        if row is None or row["as_of_date"] is None:
            raise GateBlocked([Block(table, "never written", "materialise it first")])
        return date.fromisoformat(row["as_of_date"])

    def versions_to_judge(self, table: str, run_id: str, as_of: date | None = None) -> list[str]:
        """Versions of a table that a judgement of its present rows speaks of.

        Those that the run wrote (a table kept by as-of date has one for each day), and the newest.

        Args:
            table: ``schema.table``.
            run_id: The run that judges.
            as_of: The only partition judged, or None for the whole table.
        """
        with self._connect() as connection:
            rows = connection.execute(
                "SELECT version FROM table_version WHERE table_name = ? AND run_id = ? "
                "AND (? IS NULL OR as_of_date = ?)",
                (table, run_id, _iso(as_of), _iso(as_of)),
            ).fetchall()
            newest = self._newest(connection, table, as_of)
        found = {str(row["version"]) for row in rows}
        if newest is not None:
            found.add(str(newest["version"]))
        return sorted(found)

    def days_written(self, table: str, run_id: str) -> list[date]:
        """Days that the versions which a run began of a table speak of."""
        with self._connect() as connection:
            rows = connection.execute(
                "SELECT DISTINCT as_of_date FROM table_version "
                "WHERE table_name = ? AND run_id = ? AND as_of_date IS NOT NULL ORDER BY 1",
                (table, run_id),
            )
            return [date.fromisoformat(row["as_of_date"]) for row in rows]

    def days_blocked(self, tables: Iterable[str]) -> list[date]:
        """Days on which any of the tables, kept by as-of day, would stop a step that reads it."""
        return sorted({block.day for block in self.blocks(tables) if block.day is not None})

    def record(
        self,
        table: str,
        version: str,
        gate: str,
        results: Iterable[GateResult],
        run_id: str,
        basis: str | None = None,
    ) -> None:
        """Keep what a gate said of a version, replacing what it said before.

        Args:
            table: ``schema.table``.
            version: The version judged.
            gate: The gate that judged.
            results: What it said, a result for each rule.
            run_id: The run that judges.
            basis: Text that changes when anything does that the results follow from, for
                ``verdict``; None when they are not to be used again.

        Raises:
            ValueError: a gate that says nothing cannot have judged.
        """
        results = list(results)
        if not results:
            raise ValueError(f"{table}: gate {gate} gave no result; that is not a pass")
        with self._connect() as connection:
            for kept in ("gate_result", "judgement"):
                connection.execute(
                    f"DELETE FROM {kept} WHERE table_name = ? AND version = ? AND gate = ?",
                    (table, version, gate),
                )
            if basis is not None:
                connection.execute(
                    "INSERT INTO judgement VALUES (?, ?, ?, ?, ?, ?)",
                    (table, version, gate, basis, run_id, _now()),
                )
            connection.executemany(
                "INSERT INTO gate_result VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (table, version, gate, r.rule, r.severity, r.outcome, r.failed_count,
                     r.observed, json.dumps(r.example_keys), r.message, run_id, _now())
                    for r in results
                ],
            )  # fmt: skip

    def verdict(self, table: str, version: str, gate: str, basis: str) -> Verdict | None:
        """What a gate said of a version on the same basis, so that it need not judge again.

        None when it did not, and when it could not evaluate some rule: that may have been the moment.
        """
        with self._connect() as connection:
            judged = connection.execute(
                "SELECT run_id FROM judgement "
                "WHERE table_name = ? AND version = ? AND gate = ? AND basis = ?",
                (table, version, gate, basis),
            ).fetchone()
        results = self.results(table, version, gate)
        if judged is None or any(result.outcome == "errored" for result in results):
            return None
        return Verdict(results, str(judged["run_id"]))

    def unjudged(self, tables: Iterable[str], gate: str, basis: str) -> list[str]:
        """Those of the tables whose newest version a gate has not judged on this basis."""
        with self._connect() as connection:
            judged = {
                (row["table_name"], row["version"])
                for row in connection.execute(
                    "SELECT table_name, version FROM judgement WHERE gate = ? AND basis = ?",
                    (gate, basis),
                )
            }
            newest = {table: self._newest(connection, table, None) for table in tables}
        return [
            table
            for table, version in newest.items()
            if version is None or (table, version["version"]) not in judged
        ]

    def results(self, table: str, version: str, gate: str) -> tuple[GateResult, ...]:
        """What a gate said of a version, in the order in which it said so."""
        with self._connect() as connection:
            rows = connection.execute(
                "SELECT * FROM gate_result WHERE table_name = ? AND version = ? AND gate = ? "
                "ORDER BY rowid",
                (table, version, gate),
            ).fetchall()
        return tuple(_result(row) for row in rows)

    def amiss(self, tables: Iterable[str]) -> list[tuple[str, str]]:
        """(table, ``gate:rule outcome``) of what did not pass on the versions in force."""
        with self._connect() as connection:
            return sorted(
                (table, f"{row['gate']}:{row['rule']} {row['outcome']}")
                for table in tables
                for row in connection.execute(
                    "SELECT gate, rule, outcome FROM gate_result "
                    "JOIN version_in_force USING (table_name, version) "
                    "WHERE table_name = ? AND outcome <> 'passed'",
                    (table,),
                )
            )

    def effects(self) -> Counter[Effect]:
        """How many rules passed, warn and block on the versions in force.

        A rule of a table that is kept by day counts once, as it went on its worst day.
        """
        with self._connect() as connection:
            rows = connection.execute(
                "SELECT max(CASE WHEN outcome = 'passed' THEN 0 WHEN severity = 'WARN' THEN 1 "
                "ELSE 2 END) AS worst FROM gate_result "
                "JOIN version_in_force USING (table_name, version) GROUP BY table_name, gate, rule"
            ).fetchall()
        names: Sequence[Effect] = get_args(Effect)
        return Counter(names[row["worst"]] for row in rows)

    def blocks(self, tables: Iterable[str], as_of: date | None = None) -> list[Block]:
        """Why each of the tables would stop a step that reads it; empty when none does.

        Args:
            tables: ``schema.table`` of each.
            as_of: The only day that is read, of tables kept by as-of day; else any of their days
                blocks.
        """
        with self._connect() as connection:
            return [block for table in tables for block in self._blocks(connection, table, as_of)]

    def require_passed(self, tables: Iterable[str], as_of: date | None = None) -> None:
        """Refuse to go on unless the newest version of every table passed its gates.

        Args:
            tables: ``schema.table`` of each.
            as_of: As for ``blocks``.

        Raises:
            GateBlocked: naming each table, why it blocks and what to do.
        """
        blocks = self.blocks(tables, as_of)
        if blocks:
            raise GateBlocked(blocks)

    def all_tables(self) -> list[str]:
        """Every table a version of which was ever written."""
        with self._connect() as connection:
            rows = connection.execute("SELECT DISTINCT table_name FROM table_version ORDER BY 1")
            return [row[0] for row in rows]

    def begin_run(self, run_id: str, job: str) -> None:
        """Say that a run has begun."""
        with self._connect() as connection:
            connection.execute(
                "INSERT INTO run (run_id, job, started_at, status) VALUES (?, ?, ?, 'started') "
                "ON CONFLICT DO NOTHING",
                (run_id, job, _now()),
            )

    def set_run_as_of(self, run_id: str, as_of: date) -> None:
        """Say which day a run works as of."""
        with self._connect() as connection:
            connection.execute(
                "UPDATE run SET as_of_date = ? WHERE run_id = ?", (_iso(as_of), run_id)
            )

    def end_run(self, run_id: str, status: str, error: str | None = None) -> None:
        """Say how a run ended: ``succeeded``, ``failed`` or ``killed``."""
        with self._connect() as connection:
            connection.execute(
                "UPDATE run SET ended_at = ?, status = ?, error = ? WHERE run_id = ?",
                (_now(), status, error, run_id),
            )

    def open_runs(self) -> list[str]:
        """Runs that have not said how they ended: at work, or killed."""
        with self._connect() as connection:
            rows = connection.execute("SELECT run_id FROM run WHERE status = 'started' ORDER BY 1")
            return [row[0] for row in rows]

    def end_killed_runs(self) -> list[str]:
        """End as ``killed`` every run that has not said how it ended.

        Only for whoever holds the writer's lock and has begun no run under it: a run holds the lock
        from before it begins until after it has ended, so that none of these is at work.

        Returns:
            Their ids.
        """
        killed = self.open_runs()
        for run_id in killed:
            self.end_run(run_id, "killed")
        return killed

    def record_publication(
        self, run_id: str, as_of: date, folder: Path, basis: str | None = None
    ) -> None:
        """Say what a run published, or found published as it would be.

        Args:
            run_id: The run.
            as_of: The day that the publication speaks of.
            folder: Where it lies.
            basis: Text that changes when anything does that the publication follows from, for
                ``published``.
        """
        with self._connect() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO publication VALUES (?, ?, ?, ?)",
                (run_id, _iso(as_of), str(folder), _now()),
            )
            if basis is not None:
                connection.execute(
                    "INSERT OR REPLACE INTO publication_basis VALUES (?, ?)", (run_id, basis)
                )

    def published(self, folder: Path) -> str | None:
        """What the publication in a folder follows from; None when nobody said so."""
        with self._connect() as connection:
            row = connection.execute(
                "SELECT basis FROM publication JOIN publication_basis USING (run_id) "
                "WHERE folder = ? ORDER BY published_at DESC LIMIT 1",
                (str(folder),),
            ).fetchone()
        return None if row is None else str(row["basis"])

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Mapping[str, Any]]:
        """Rows of a query over the ledger, for reports."""
        with self._connect() as connection:
            return [dict(row) for row in connection.execute(sql, parameters)]

    def arrow(
        self, table: Literal["table_version", "gate_result", "run", "publication"]
    ) -> pa.Table:
        """A whole ledger table, for publication."""
        with self._connect() as connection:
            cursor = connection.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in cursor.description]
            rows = cursor.fetchall()
        types = {"row_count": pa.int64(), "failed_count": pa.int64()}
        return pa.table(
            {
                name: pa.array([row[name] for row in rows], types.get(name, pa.string()))
                for name in names
            }
        )

    @staticmethod
    def _newest(
        connection: sqlite3.Connection, table: str, as_of: date | None
    ) -> sqlite3.Row | None:
        row: sqlite3.Row | None = connection.execute(
            "SELECT * FROM table_version WHERE table_name = ? AND (? IS NULL OR as_of_date = ?) "
            "ORDER BY started_at DESC, rowid DESC LIMIT 1",
            (table, _iso(as_of), _iso(as_of)),
        ).fetchone()
        return row

    def _blocks(
        self, connection: sqlite3.Connection, table: str, as_of: date | None
    ) -> list[Block]:
        """Why versions in force block: one of each day, of a table that is kept by day."""
        versions = self._in_force(connection, table, as_of)
        if not versions:
            return [Block(table, "never written", "materialise it first")]
        found = (self._block(connection, version) for version in versions)
        return [block for block in found if block is not None]

    @staticmethod
    def _in_force(
        connection: sqlite3.Connection, table: str, as_of: date | None
    ) -> list[sqlite3.Row]:
        return connection.execute(
            "SELECT *, table_name IN (SELECT table_name FROM table_by_day) AS by_day "
            "FROM version_in_force WHERE table_name = ? AND (? IS NULL OR as_of_date = ?) "
            "ORDER BY as_of_date",
            (table, _iso(as_of), _iso(as_of)),
        ).fetchall()

    def _block(self, connection: sqlite3.Connection, version: sqlite3.Row) -> Block | None:
        table = version["table_name"]
        day = _day(version["as_of_date"]) if version["by_day"] else None
        again = _AGAIN_BY_DAY if day else None
        if version["written_at"] is None:
            return Block(
                table, "its last write did not end", again or "materialise it again", day=day
            )
        judged = connection.execute(
            "SELECT * FROM gate_result WHERE table_name = ? AND version = ?",
            (table, version["version"]),
        ).fetchall()
        missing = set(json.loads(version["gates"])) - {row["gate"] for row in judged}
        if missing:
            return Block(
                table,
                f"not judged yet by {', '.join(sorted(missing))}",
                again or "run its checks, or materialise it together with them",
                day=day,
            )
        failed = tuple(found for row in judged if (found := _result(row)).blocks)
        if failed:
            return Block(
                table,
                f"failed {', '.join(f'{r.gate}:{r.rule}' for r in failed)}",
                f"mend the source or retract the batch, then {again or 'refresh'}",
                failed,
                day,
            )
        return None


def _result(row: sqlite3.Row) -> GateResult:
    fields = {name: row[name] for name in GateResult.__annotations__}
    return GateResult(**{**fields, "example_keys": tuple(json.loads(row["example_keys"]))})


def _day(said: str | None) -> date | None:
    return None if said is None else date.fromisoformat(said)


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
