"""A simulated retailer delivered in two parts: its history, and the last day's files.

Every feed of the simulator is in order of upload, so that the last rows of its last file are what a
day delivers. A feed that the simulator writes as one file is delivered as a file a day here, as a
source that is asked for what is new delivers it.

What belongs here: dividing source files. What does not: landing them or measuring.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq

from siyu.config import REPO

# Answers that are asked for whole each time.
_WHOLE = frozenset({"staff"})


def divide(sources: Path, days: int, history: Path, day: Path) -> int:
    """Write all but the last day of a simulated retailer, and that day's rows.

    Args:
        sources: From the simulator.
        days: How many days the feeds that are one file cover.
        history: Where the earlier rows go; absent.
        day: Where the last day's files go; absent.

    Returns:
        Rows or documents of the last day.
    """
    shutil.copytree(sources, history, ignore=shutil.ignore_patterns("truth"))
    return sum(
        _take_last(file, day / file.relative_to(history), share)
        for file, share in _last_files(history, days)
    )


def _last_files(folder: Path, days: int) -> list[tuple[Path, float]]:
    """The last file of each feed, and which share of it a day is."""
    feeds: dict[tuple[Path, str], Path] = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        feed = file.stem.partition("_20")[0]
        if feed not in _WHOLE and file.suffix in (".csv", ".jsonl", ".parquet"):
            feeds[file.parent, feed] = file
    return [(file, 1 / 30 if file.stem != feed else 1 / days) for (_, feed), file in feeds.items()]


def _take_last(file: Path, to: Path, share: float) -> int:
    """Move the last share of a file's rows to a file of its own; none when that is less than one."""
    to = to.with_stem(f"{to.stem}_last")
    if file.suffix == ".parquet":
        table = pq.read_table(file)
        kept = len(table) - round(len(table) * share)
        parts = [table.slice(0, kept), table.slice(kept)]
        count = len(parts[1])
        if count:
            to.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(parts[0], file)
            pq.write_table(parts[1], to)
        return count
    lines = file.read_bytes().splitlines(keepends=True)
    head = lines[:1] if file.suffix == ".csv" else []
    count = round((len(lines) - len(head)) * share)
    if count:
        to.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"".join(lines[:-count]))
        to.write_bytes(b"".join(head + lines[-count:]))
    return count


def deliver(day: Path, sources: Path) -> None:
    """Put the last day's files beside the history."""
    shutil.copytree(day, sources, dirs_exist_ok=True)


def take_back(day: Path, sources: Path) -> None:
    """Remove the last day's files from beside the history."""
    for file in day.rglob("*"):
        if file.is_file():
            (sources / file.relative_to(day)).unlink()


def daily_retailers(folder: Path) -> Path:
    """The demo retailer, of which every CSV file may come in several; returns ``SIYU_RETAILERS``."""
    shutil.copytree(REPO / "retailers" / "demo", folder / "demo")
    settings = folder / "demo" / "retailer.yaml"
    said = settings.read_text("utf-8")
    lines = [
        line.replace(".csv", "*.csv") if "location:" in line else line for line in said.splitlines()
    ]
    settings.write_text("\n".join(lines) + "\n", "utf-8")
    return folder
