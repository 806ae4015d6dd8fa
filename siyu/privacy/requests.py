"""The ledger of erasures: who asked when, until when it is to be done, and what was done where.

Nobody can be read off it: a request holds marks, as tombstones do. What is still to be done names
people, so it is sealed while a request is open, and gone with its key when it is done.

What belongs here: requests, their receipts and the sealed work. What does not: doing the work
(``siyu.privacy.erasure``).
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from siyu.paths import Paths
from siyu.privacy.subject import Subject
from siyu.tombstones import IDENTIFIER, mark
from siyu.vault import Vault, load_keys, seal, unseal

_SCHEMA = """
CREATE TABLE IF NOT EXISTS request (
    request_id TEXT PRIMARY KEY, received_at TEXT NOT NULL, deadline TEXT NOT NULL,
    decided_by TEXT NOT NULL, status TEXT NOT NULL, completed_at TEXT, subjects TEXT NOT NULL,
    work BLOB);
CREATE TABLE IF NOT EXISTS receipt (
    request_id TEXT NOT NULL, layer TEXT NOT NULL, done_at TEXT NOT NULL, counts TEXT NOT NULL,
    still_found INTEGER NOT NULL, PRIMARY KEY (request_id, layer));
"""


@dataclass(frozen=True)
class Receipt:
    """What was done in one place.

    Attributes:
        layer: Which.
        done_at: When (UTC).
        counts: What was counted, by what it is.
        still_found: How many names a search found there afterwards; not 0 is a failure.
    """

    layer: str
    done_at: datetime
    counts: Mapping[str, Any]
    still_found: int


@dataclass(frozen=True)
class Request:
    """A request to be erased.

    Attributes:
        request_id: Its id.
        received_at: When it came (UTC).
        deadline: Until when it is to be done (UTC).
        decided_by: Who said that it is to be done.
        status: ``open`` until every layer has its receipt.
        completed_at: When it was done (UTC), or None.
        receipts: What was done so far, in order.
    """

    request_id: str
    received_at: datetime
    deadline: datetime
    decided_by: str
    status: Literal["open", "done"]
    completed_at: datetime | None
    receipts: tuple[Receipt, ...]


class Requests:
    """The ledger of one retailer, in one SQLite file that only its owner may read."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def receive(
        self, subject: Subject, decided_by: str, deadline_days: int, now: datetime
    ) -> Request:
        """Note a request, with what is to be erased sealed beside it."""
        request_id = f"erasure-{now:%Y%m%d}-{secrets.token_hex(4)}"
        key = Vault.of(self._paths).new_batch_key(request_id, now)
        work = seal(key, json.dumps(subject.to_dict()).encode(), request_id.encode())
        token_key = load_keys(self._paths).token
        names = (*subject.customers, *subject.identifiers)
        marks = sorted(mark(token_key, IDENTIFIER, name) for name in names)
        with self._connect() as connection:
            connection.execute(
                "INSERT INTO request VALUES (?, ?, ?, ?, 'open', NULL, ?, ?)",
                (
                    request_id, now.isoformat(), (now + timedelta(days=deadline_days)).isoformat(),
                    decided_by, json.dumps(marks), work,
                ),
            )  # fmt: skip
        return self.get(request_id)

    def get(self, request_id: str) -> Request:
        """One request."""
        return next(request for request in self.all() if request.request_id == request_id)

    def all(self) -> list[Request]:
        """Every request, oldest first."""
        if not self._paths.erasures.exists():
            return []
        with self._connect() as connection:
            requests = connection.execute("SELECT * FROM request ORDER BY received_at").fetchall()
            receipts = connection.execute("SELECT * FROM receipt ORDER BY done_at").fetchall()
        return [
            Request(
                row["request_id"],
                datetime.fromisoformat(row["received_at"]),
                datetime.fromisoformat(row["deadline"]),
                row["decided_by"],
                row["status"],
                datetime.fromisoformat(row["completed_at"]) if row["completed_at"] else None,
                tuple(_receipt(r) for r in receipts if r["request_id"] == row["request_id"]),
            )
            for row in requests
        ]

    def of(self, names: Collection[str]) -> list[Request]:
        """Requests by which any of these was erased."""
        token_key = load_keys(self._paths).token
        asked = {mark(token_key, IDENTIFIER, name) for name in names}
        if not self._paths.erasures.exists():
            return []
        with self._connect() as connection:
            rows = connection.execute("SELECT request_id, subjects FROM request").fetchall()
        found = {row["request_id"] for row in rows if asked & set(json.loads(row["subjects"]))}
        return [request for request in self.all() if request.request_id in found]

    def work(self, request_id: str) -> Subject:
        """What an open request is to erase.

        Raises:
            VaultError: the wrapping key is not the one it was sealed under.
        """
        with self._connect() as connection:
            (sealed,) = connection.execute(
                "SELECT work FROM request WHERE request_id = ?", (request_id,)
            ).fetchone()
        key = Vault.of(self._paths).batch_key(request_id)
        return Subject.from_dict(json.loads(unseal(key, sealed, request_id.encode())))

    def note(self, request_id: str, receipt: Receipt) -> None:
        """Keep what was done in a layer, in place of what was said of it before."""
        with self._connect() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO receipt VALUES (?, ?, ?, ?, ?)",
                (
                    request_id, receipt.layer, receipt.done_at.isoformat(),
                    json.dumps(receipt.counts), receipt.still_found,
                ),
            )  # fmt: skip

    def complete(self, request_id: str, now: datetime) -> Request:
        """Say that all of it is done, and forget whom it was about."""
        with self._connect() as connection:
            connection.execute(
                "UPDATE request SET status = 'done', completed_at = ?, work = NULL "
                "WHERE request_id = ?",
                (now.isoformat(), request_id),
            )
        Vault.of(self._paths).destroy_batch_key(request_id)
        return self.get(request_id)

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        file = self._paths.erasures
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
        connection = sqlite3.connect(file, timeout=30)
        connection.row_factory = sqlite3.Row
        try:
            connection.execute("PRAGMA secure_delete = ON")
            connection.executescript(_SCHEMA)
            with connection:
                yield connection
        finally:
            connection.close()


def _receipt(row: sqlite3.Row) -> Receipt:
    return Receipt(
        row["layer"],
        datetime.fromisoformat(row["done_at"]),
        json.loads(row["counts"]),
        row["still_found"],
    )
