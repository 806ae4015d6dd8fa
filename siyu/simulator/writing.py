"""Files: a folder that appears whole or not at all, and writers for each format.

What belongs here: formats and atomicity. What does not: what is in the files.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from siyu.simulator.draws import Ints

MARKER = "simulation.json"
_BATCH_ROWS = 20_000


class SimulationError(Exception):
    """The simulation cannot be made; the message says why and what to do."""


class Writer:
    """Writes tables below one folder.

    Attributes:
        rows: Rows written by feed, the name of the file without its month.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._connection = duckdb.connect()
        self._connection.execute("SET enable_progress_bar = false")
        self.rows: Counter[str] = Counter()

    def close(self) -> None:
        """Let go of the database that formats rows."""
        self._connection.close()

    def csv(self, name: str, table: pa.Table) -> None:
        """Write ``name``.csv with a header."""
        self._copy(table, self._place(name, "csv"), "FORMAT csv, HEADER")
        self._count(name, table)

    def jsonl(self, name: str, table: pa.Table) -> None:
        """Write ``name``.jsonl, one document a row."""
        self._copy(table, self._place(name, "jsonl"), "FORMAT json")
        self._count(name, table)

    def json(self, name: str, table: pa.Table) -> None:
        """Write ``name``.json with the table's only row as its document."""
        self._copy(table, self._place(name, "json"), "FORMAT json")
        self._count(name, table)

    def parquet(self, name: str, table: pa.Table) -> None:
        """Write ``name``.parquet."""
        pq.write_table(table, self._place(name, "parquet"), compression="zstd")
        self._count(name, table)

    def parquet_by_month(
        self, name: str, table: pa.Table, arrived: Ints, month: Ints, months: list[str]
    ) -> None:
        """Write ``name``_YYYY-MM.parquet for each month, rows in the order of ``arrived``."""
        for part, label in _by_month(table, arrived, month, months):
            self.parquet(f"{name}_{label}", part)

    def jsonl_by_month(
        self, name: str, table: pa.Table, arrived: Ints, month: Ints, months: list[str]
    ) -> None:
        """Write ``name``_YYYY-MM.jsonl for each month, rows in the order of ``arrived``."""
        for part, label in _by_month(table, arrived, month, months):
            self.jsonl(f"{name}_{label}", part)

    def _place(self, name: str, suffix: str) -> Path:
        file = self._folder / f"{name}.{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        return file

    def _copy(self, table: pa.Table, file: Path, options: str) -> None:
        self._connection.register("rows", _in_batches(table))
        target = str(file).replace("'", "''")
        self._connection.execute(f"COPY rows TO '{target}' ({options})")
        self._connection.unregister("rows")

    def _count(self, name: str, table: pa.Table) -> None:
        self.rows[name.split("_20")[0]] += table.num_rows


def _in_batches(table: pa.Table) -> pa.Table:
    """The table in small batches, which stay in the cache and are shared among the cores, in order.

    Each is a copy, not a slice: of a slice DuckDB (1.5.5) reads a struct inside a struct as if it
    began where the whole table does.
    """
    starts = range(0, table.num_rows, _BATCH_ROWS)
    parts = (np.arange(at, min(at + _BATCH_ROWS, table.num_rows)) for at in starts)
    return pa.concat_tables([table.take(pa.array(part)) for part in parts] or [table])


def _by_month(
    table: pa.Table, arrived: Ints, month: Ints, months: list[str]
) -> Iterator[tuple[pa.Table, str]]:
    order = np.lexsort((arrived, month))
    cuts = np.searchsorted(month[order], np.arange(len(months) + 1))
    for number, label in enumerate(months):
        rows = order[cuts[number] : cuts[number + 1]]
        if len(rows):
            yield table.take(pa.array(rows)), label


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill that takes the place of ``folder`` only when it is full.

    Raises:
        SimulationError: ``folder`` holds something that is not a simulation.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise SimulationError(
            f"{folder} holds files that are not a simulation; choose another folder or empty it"
        )
    partial = folder.with_name(f".{folder.name}.partial")
    previous = folder.with_name(f".{folder.name}.previous")
    for left_over in (partial, previous):
        shutil.rmtree(left_over, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if folder.exists():
        folder.rename(previous)
    partial.rename(folder)
    shutil.rmtree(previous, ignore_errors=True)
