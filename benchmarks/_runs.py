"""Runs that several benchmarks speak of, made once: a simulated retailer, a refresh, the reference.

They are kept in the folder that ``SIYU_BENCH_HOME`` names, for as long as that folder lasts;
without it in a temporary folder that goes when the benchmark ends.

What belongs here: making a run and reading its record. What does not: what happens inside the run
(``_refresh``, ``_reference``), or figures (the benchmarks).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks._stopwatch import IMPORTS, Spent
from siyu.config import REPO
from siyu.simulator import simulate

MEMBERS = 100_000
DEMO_MEMBERS = 5_000
HOME = "SIYU_BENCH_HOME"

# What must not differ from one machine to the next.
SETTINGS = ("SIYU_AS_OF", "SIYU_ENGINE", "SIYU_RETAILERS", "DAGSTER_HOME", "MLFLOW_TRACKING_URI")


@dataclass(frozen=True)
class Refresh:
    """Where the time of a refresh went.

    Attributes:
        spent: By piece of work; see ``_refresh``. Each second counts once.
        interpreter_cpu: CPU seconds until the first line of the run.
        wall: Seconds from starting the process to its end.
        peak_bytes: Most memory the process held.
        home: Its ``SIYU_HOME``.
    """

    spent: dict[str, Spent]
    interpreter_cpu: float
    wall: float
    peak_bytes: int
    home: Path

    def cpu(self, *pieces: str) -> float:
        """CPU seconds of pieces of work; with their layers, where a piece has them.

        Raises:
            KeyError: no such work was done.
        """
        return sum(spent.cpu for spent in self._pieces(pieces))

    def clock(self, *pieces: str) -> float:
        """The same, seconds on the clock."""
        return sum(spent.wall for spent in self._pieces(pieces))

    @property
    def all_but_imports(self) -> Spent:
        """What everything took, the libraries' imports apart."""
        spent = [one for name, one in self.spent.items() if name != IMPORTS]
        return Spent(sum(one.cpu for one in spent), sum(one.wall for one in spent))

    @property
    def start_up_cpu(self) -> float:
        """CPU seconds of the interpreter and of importing, whenever that happened."""
        return self.interpreter_cpu + self.spent[IMPORTS].cpu

    @property
    def start_up_wall(self) -> float:
        """The same on the clock."""
        return self.wall - self.all_but_imports.wall

    def _pieces(self, pieces: tuple[str, ...]) -> list[Spent]:
        found: list[Spent] = []
        for piece in pieces:
            # What dbt builds and what the gates judge have a name for each layer.
            names = [name for name in self.spent if name == piece or name.startswith(f"{piece} ")]
            if not names:
                raise KeyError(f"the refresh in {self.home} did no work called {piece}")
            found += [self.spent[name] for name in names]
        return found


@dataclass(frozen=True)
class Reference:
    """What the hand-written script took, its imports apart.

    Attributes:
        cpu: CPU seconds.
        wall: Seconds on the clock.
        start_up_cpu: CPU seconds of the interpreter and of importing.
        peak_bytes: Most memory the process held.
        steps: CPU seconds by step.
        file: The DuckDB file that it made.
    """

    cpu: float
    wall: float
    start_up_cpu: float
    peak_bytes: int
    steps: dict[str, float]
    file: Path


@contextmanager
def bench_home() -> Iterator[Path]:
    """The folder in which runs are kept."""
    named = os.environ.get(HOME)
    if named:
        home = Path(named).resolve()
        home.mkdir(parents=True, exist_ok=True)
        yield home
        return
    with tempfile.TemporaryDirectory(prefix="siyu-bench-") as folder:
        yield Path(folder).resolve()


def refreshed(home: Path, what: Literal["tables", "whole"], members: int) -> Refresh:
    """A refresh of the demo retailer from nothing, in a process of its own.

    Args:
        home: From ``bench_home``.
        what: See ``_refresh``.
        members: Size of the simulated retailer.

    Raises:
        subprocess.CalledProcessError: the refresh failed; its log is on standard error.
    """
    folder = home / f"{what}-{members}"

    def run(result: Path) -> float:
        sources = folder / "demo" / "sources"
        sources.parent.mkdir(parents=True)
        sources.symlink_to(_simulated(home, members), target_is_directory=True)
        return _process("benchmarks._refresh", what, str(result), SIYU_HOME=str(folder))

    return _refresh(_once(folder, run), folder)


def refreshed_public(home: Path, retailer: str) -> Refresh:
    """The ``tables`` refresh of a retailer whose data lie in ``SIYU_DATA``, in a process of its own.

    Args:
        home: From ``bench_home``.
        retailer: Folder under ``retailers``.

    Raises:
        subprocess.CalledProcessError: the refresh failed; its log is on standard error.
    """
    folder = home / f"tables-{retailer}"

    def run(result: Path) -> float:
        return _process(
            "benchmarks._refresh", "tables", str(result),
            SIYU_HOME=str(folder), SIYU_RETAILER=retailer,
        )  # fmt: skip

    return _refresh(_once(folder, run), folder)


def refreshed_again(home: Path, members: int) -> Refresh:
    """The ``whole`` refresh once more, in a process of its own: nothing has changed since.

    Args:
        home: From ``bench_home``.
        members: Size of the simulated retailer.

    Raises:
        subprocess.CalledProcessError: a refresh failed; its log is on standard error.
    """
    before = refreshed(home, "whole", members).home

    def run(result: Path) -> float:
        return _process("benchmarks._refresh", "whole", str(result), SIYU_HOME=str(before))

    return _refresh(_once(home / f"whole-again-{members}", run), before)


def refresh_as_it_is(home: Path, retailers: Path) -> Refresh:
    """The job ``refresh`` on a home as it is, in a process of its own.

    Args:
        home: Its ``SIYU_HOME``, with sources in place.
        retailers: Its ``SIYU_RETAILERS``.

    Raises:
        subprocess.CalledProcessError: the refresh failed; its log is on standard error.
    """
    result = home / "result.json"
    wall = _process(
        "benchmarks._refresh", "whole", str(result),
        SIYU_HOME=str(home), SIYU_RETAILERS=str(retailers),
    )  # fmt: skip
    return _refresh({**json.loads(result.read_text("utf-8")), "process_wall": wall}, home)


def _refresh(said: Mapping[str, Any], home: Path) -> Refresh:
    spent = {name: Spent(**one) for name, one in said["spent"].items()}
    return Refresh(spent, said["interpreter_cpu"], said["process_wall"], said["peak_bytes"], home)


def referenced(home: Path, members: int) -> Reference:
    """The hand-written script beside the ``tables`` refresh of the same size.

    Raises:
        subprocess.CalledProcessError: the script failed.
    """
    refresh = refreshed(home, "tables", members)
    folder = home / f"reference-{members}"

    def run(result: Path) -> float:
        return _process("benchmarks._reference", str(refresh.home), str(result))

    said = _once(folder, run)
    return Reference(
        said["cpu"], said["wall"], said["start_up_cpu"], said["peak_bytes"], said["steps"],
        folder / "siyu.duckdb",
    )  # fmt: skip


def _simulated(home: Path, members: int) -> Path:
    folder = home / f"sources-{members}"
    if not folder.exists():
        simulate(folder, members)
    return folder


def _once(folder: Path, run: Callable[[Path], float]) -> dict[str, Any]:
    """The record of a run, made now unless it was before; a run that broke begins anew.

    Args:
        folder: Of the run.
        run: Makes it and writes its result to a file; returns the seconds that its process took.
    """
    record = folder / "record.json"
    if not record.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        result = folder / "result.json"
        seconds = run(result)
        record.write_text(json.dumps({**json.loads(result.read_text()), "process_wall": seconds}))
    said: dict[str, Any] = json.loads(record.read_text("utf-8"))
    return said


def _process(module: str, *arguments: str, **environment: str) -> float:
    """Run a module in a fresh process; what it prints goes to standard error.

    Returns:
        Seconds from its start to its end.
    """
    clean = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPO,
        env={**clean, "SIYU_RETAILER": "demo", **environment},
        stdout=sys.stderr,
        check=True,
    )
    return time.perf_counter() - started
