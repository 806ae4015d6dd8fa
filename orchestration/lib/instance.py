"""Dagster's instance: its home under the home folder, its settings from this repository."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy import Engine, event

from siyu.config import REPO, Settings
from siyu.paths import Paths


def prepare_instance(settings: Settings) -> None:
    """Make the instance's home and point ``DAGSTER_HOME`` at it, unless the user named one."""
    if os.environ.get("DAGSTER_HOME"):
        return
    home = Paths.of(settings).dagster
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(REPO / "dagster.yaml", home / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(home)


@contextmanager
def open_instance() -> Iterator[dg.DagsterInstance]:
    """The instance, its event log kept open.

    Dagster opens and closes the log for every event, and SQLite checkpoints to disk whenever the
    last connection closes: 40 ms an event instead of 15. Holding one open, and syncing at
    checkpoints only, loses nothing when a process dies.
    """
    event.listen(Engine, "connect", _sync_at_checkpoints)
    try:
        with dg.DagsterInstance.get() as instance:
            file = Path(os.environ["DAGSTER_HOME"]) / "event_log.db"
            with closing(sqlite3.connect(file)) as held:
                held.execute("SELECT count(*) FROM sqlite_master").fetchone()
                yield instance
    finally:
        event.remove(Engine, "connect", _sync_at_checkpoints)


def _sync_at_checkpoints(connection: Any, _record: Any) -> None:
    """In WAL mode this keeps the file whole through a power cut as well."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = NORMAL")
