"""Dagster's event log: its consolidated SQLite file, reached through one engine.

What belongs here: how the file is opened. What does not: what is in it, which is Dagster's affair.
``dagster.yaml`` names this class.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import Any

from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from sqlalchemy import Connection, Engine, create_engine, event

_WAIT_SECONDS = 60


class EventLog(ConsolidatedSqliteEventLogStorage):
    """The consolidated log, its connections kept open.

    Dagster's own makes an engine for every statement: each begins by asking SQLite who it is and
    compiles its SQL anew, and with the last connection closed SQLite checkpoints to disk. That was
    5 ms of CPU an event, and a refresh has a thousand. Syncing at checkpoints only loses nothing when
    a process dies, and in WAL mode keeps the file whole through a power cut as well.
    """

    @cached_property
    def _engine(self) -> Engine:
        engine = create_engine(self._conn_string, connect_args={"timeout": _WAIT_SECONDS})
        event.listen(engine, "connect", _sync_at_checkpoints)
        return engine

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    def run_connection(self, run_id: str | None) -> AbstractContextManager[Connection]:  # noqa: ARG002 - as Dagster asks
        """A transaction on the log of a run: all runs share one file."""
        return self._transaction()

    def index_connection(self) -> AbstractContextManager[Connection]:
        """A transaction on the log of all runs."""
        return self._transaction()

    def dispose(self) -> None:
        """Close the file."""
        if "_engine" in self.__dict__:
            self._engine.dispose()
        super().dispose()  # type: ignore[no-untyped-call]  # so in Dagster


def _sync_at_checkpoints(connection: Any, _record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = NORMAL")
