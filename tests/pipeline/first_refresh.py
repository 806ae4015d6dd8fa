"""The first refresh of the tiny retailer, from which the longer stories of this folder go on.

What belongs here: making it, with what there is to see afterwards. What does not: sharing it
(``conftest``), or what follows.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from whole_job import Run, State, whole_job

from siyu.backup import back_up
from siyu.simulator import simulate


@dataclass(frozen=True)
class Refreshed:
    """A home after its first refresh.

    Attributes:
        home: The home. One story alone goes on in it (``test_refresh``).
        sources: The retailer's files as they were then.
        day: The day that everything is as of.
        run: How the refresh went.
        state: What there was after it.
        publication: A copy of what was published then, as no story of the home can lose it.
        backup: A backup made then.
        keys: The keys of it.
    """

    home: Path
    sources: Path
    day: str
    run: Run
    state: State
    publication: Path
    backup: Path
    keys: Path


def refresh_tiny(folder: Path) -> Refreshed:
    """Simulate, land and refresh below a folder, and make a backup."""
    home, sources, keys = folder / "home", folder / "sources", folder / "keys"
    simulate(sources, "tiny")
    shutil.copytree(sources, home / "demo" / "sources")
    with whole_job(home, "demo") as job:
        landed = job.run("land")
        assert landed.success, landed.failures
        day = job.last_complete_day()
        # Everything but the lake, which was just landed and judged.
        run = job.run("rebuild", day)
        assert run.success, (run.failures, run.failed_checks)
        backup = back_up(job.paths, folder / "backups", keys, datetime.now(UTC))
        state, publication = job.state(), folder / "published.duckdb"
        assert state.publication is not None
        shutil.copyfile(state.publication / "siyu.duckdb", publication)
        return Refreshed(home, sources, day, run, state, publication, backup.folder, keys)
