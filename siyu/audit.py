"""The audit log: a chain of entries in which no edit, deletion or reordering goes unseen.

Consent events, manual identity rules, erasures, exports and publications each make an entry. An entry
holds no personal data: what it says is *committed to*, by an HMAC under a random salt, and the salt and
the words lie beside the chain, in an *opening* that an erasure destroys. The commitment stays, so the
chain still verifies, but it can no longer be matched with anybody. That an opening is gone is itself
vouched for: the entry of the erasure names it.

How to write to it::

    log = AuditLog.of(paths)
    log.append("identity_rule", reference=rule_id, payload={"rule": …}, occurred_at=decided_at,
               subjects=[identifier_a, identifier_b])
    log.append("export", reference=request_id, payload={…}, occurred_at=…, subjects=identifiers)
    log.append("erasure", reference=request_id, payload={…}, occurred_at=…, forgets=identifiers)

``reference`` says what the entry is of, within its kind: the same one again adds nothing and returns the
entry that is there, so that whoever is killed just runs again. It is kept for ever, and published: never
a person's identifier. ``payload`` may speak of people, when ``subjects`` names every identifier that it
speaks of; that of an erasure should speak of none. Where an entry is of many people, such as a batch
of consent events, what it says of each is a *part* of its own, which can be forgotten by itself.

What belongs here: the log, and whether it is whole. What does not: whether what entries speak of lies
where they say (``siyu.evidence``), or what is worth an entry (whoever appends).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from siyu.paths import Paths

AuditKind = Literal["consents", "identity_rule", "erasure", "export", "publication"]
JSON = str | int | bool | None | Sequence["JSON"] | Mapping[str, "JSON"]
Fault = Literal[
    "edited", "missing", "repeated", "reordered", "unlinked", "truncated", "rewritten",
    "opening altered", "opening missing", "opening kept", "evidence altered", "evidence missing",
]  # fmt: skip

_SALT_BYTES = 16
_COMMITMENT_BYTES = 32

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, reference TEXT NOT NULL,
    occurred_at TEXT NOT NULL, recorded_at TEXT NOT NULL, commitments BLOB NOT NULL,
    forgotten TEXT NOT NULL, previous_hash TEXT NOT NULL, hash TEXT NOT NULL,
    UNIQUE (kind, reference));
CREATE TABLE IF NOT EXISTS opening (
    sequence INTEGER NOT NULL, position INTEGER NOT NULL, salt BLOB NOT NULL, said TEXT,
    PRIMARY KEY (sequence, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS subject (
    identifier TEXT NOT NULL, sequence INTEGER NOT NULL, position INTEGER NOT NULL,
    PRIMARY KEY (identifier, sequence, position)) WITHOUT ROWID;
"""


class AuditError(Exception):
    """The log, or a head of it, cannot be read; the message says which and what to do."""


@dataclass(frozen=True)
class AuditEntry:
    """One link of the chain. Its sequence follows from the links, so the hash need not cover it.

    Attributes:
        sequence: 1, 2, 3, …
        kind: What was done.
        reference: What it is of, within its kind.
        occurred_at: When it was done (UTC, ISO).
        recorded_at: When the entry was made (UTC, ISO).
        commitments: 32 bytes for each thing said: the payload, then the parts.
        forgotten: ``[[sequence, position], …]`` of the openings that it destroyed, as JSON.
        previous_hash: Hash of the entry before; of the retailer's name for the first.
        hash: Of all the above but the sequence.
    """

    sequence: int
    kind: str
    reference: str
    occurred_at: str
    recorded_at: str
    commitments: bytes
    forgotten: str
    previous_hash: str
    hash: str

    def commitment(self, position: int) -> bytes:
        """The commitment to the payload (0) or to a part (1, 2, …)."""
        start = position * _COMMITMENT_BYTES
        return self.commitments[start : start + _COMMITMENT_BYTES]


class Opening(NamedTuple):
    """What opens a commitment.

    Attributes:
        sequence: Of the entry.
        position: 0 for its payload, from 1 on for its parts.
        salt: 16 random bytes.
        said: What was committed to; None where it lies elsewhere.
    """

    sequence: int
    position: int
    salt: bytes
    said: str | None


class Part(NamedTuple):
    """What an entry committed to of one subject, for whoever finds the words elsewhere."""

    salt: bytes
    commitment: bytes

    def opens_to(self, said: str) -> bool:
        """Whether these are the words."""
        return hmac.compare_digest(_commitment(self.salt, said), self.commitment)


@dataclass(frozen=True)
class Head:
    """Where the log ended at some moment: kept elsewhere, it shows that nothing was cut off since.

    Attributes:
        retailer: Whose log it is.
        sequence: Of the last entry; 0 when there was none.
        hash: Of the last entry.
        recorded_at: When that entry was made (UTC, ISO); empty when there was none.
    """

    retailer: str
    sequence: int
    hash: str
    recorded_at: str

    def to_json(self) -> str:
        """As ``siyu audit head`` prints it."""
        return json.dumps(vars(self))

    @staticmethod
    def read(file: Path) -> Head:
        """A head that was kept in a file.

        Raises:
            AuditError: it is not one.
        """
        try:
            said = json.loads(file.read_text("utf-8"))
            return Head(
                str(said["retailer"]), int(said["sequence"]), str(said["hash"]),
                str(said["recorded_at"]),
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError):
            raise AuditError(
                f"{file}: no head of an audit log; give a file that siyu audit head wrote"
            ) from None


@dataclass(frozen=True)
class Finding:
    """Something that is not as the log says.

    Attributes:
        sequence: The entry where it shows.
        fault: What kind of thing happened.
        message: One sentence for a person.
    """

    sequence: int
    fault: Fault
    message: str

    def __str__(self) -> str:
        return f"entry {self.sequence}: {self.fault}: {self.message}"


class AuditLog:
    """The audit log of one retailer, in one SQLite file that only its owner may read."""

    def __init__(self, file: Path, retailer: str) -> None:
        self._file = file
        self._retailer = retailer

    @staticmethod
    def of(paths: Paths) -> AuditLog:
        """The log of a retailer."""
        return AuditLog(paths.audit, paths.retailer)

    def append(
        self,
        kind: AuditKind,
        reference: str,
        payload: Mapping[str, JSON],
        occurred_at: datetime,
        *,
        subjects: Collection[str] = (),
        parts: Iterable[tuple[str, str]] = (),
        forgets: Iterable[str] = (),
    ) -> AuditEntry:
        """Add an entry; whole or not at all, whoever is killed and whoever else appends.

        Args:
            kind: What was done.
            reference: What the entry is of, within its kind; nothing about a person.
            payload: What it says.
            occurred_at: When it was done; UTC where it has no zone.
            subjects: Every identifier that the payload speaks of.
            parts: (identifier, what is said of it), each identifier once; only salt and commitment are
                kept of what is said.
            forgets: Identifiers of people who are erased: all that opens what was ever said of them is
                destroyed in the same transaction, and the entry names what was.

        Returns:
            The entry; the one that is there already when kind and reference are.
        """
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            there = _entries(connection, "WHERE kind = ? AND reference = ?", (kind, reference))
            if there:
                return there[0]
            return self._appended(
                connection, kind, reference, canonical(payload), occurred_at, subjects,
                list(parts), forgets,
            )  # fmt: skip

    def entries(self) -> list[AuditEntry]:
        """Every entry, in order."""
        with self._connect() as connection:
            return _entries(connection)

    def payload(self, entry: AuditEntry) -> Mapping[str, Any] | None:
        """What an entry says, or None where that was forgotten."""
        with self._connect() as connection:
            row = connection.execute(
                "SELECT said FROM opening WHERE sequence = ? AND position = 0", (entry.sequence,)
            ).fetchone()
        return None if row is None else json.loads(row[0])

    def parts(self, entry: AuditEntry) -> dict[str, Part]:
        """By identifier, what an entry committed to, of those who were not forgotten."""
        with self._connect() as connection:
            rows = connection.execute(
                # In this order: only openings are found by their place.
                "SELECT identifier, position, salt FROM subject "
                "CROSS JOIN opening USING (sequence, position) "
                "WHERE sequence = ? AND position > 0",
                (entry.sequence,),
            ).fetchall()
        return {name: Part(salt, entry.commitment(position)) for name, position, salt in rows}

    def head(self) -> Head:
        """Where the log ends now."""
        with self._connect() as connection:
            return self._head(connection)

    def verify(self, head: Head | None = None) -> list[Finding]:
        """What was edited, taken out, put in or moved, in the order of the entries; empty if nothing.

        Args:
            head: An earlier end of the log, kept elsewhere. Without one, entries missing at the end
                cannot be told, nor a log that was made anew from some entry on.
        """
        with self._connect() as connection:
            entries = _entries(connection)
            rows = connection.execute("SELECT sequence, position, salt, said FROM opening")
            openings = [Opening(*row) for row in rows]
        return verified(self._retailer, entries, openings, head)

    def arrow(self) -> pa.Table:
        """The chain without commitments and openings, for publication."""
        names = ("sequence", "kind", "reference", "occurred_at", "recorded_at", "hash")
        entries = self.entries()
        return pa.table(
            {
                name: pa.array(
                    [getattr(entry, name) for entry in entries],
                    pa.int64() if name == "sequence" else pa.string(),
                )
                for name in names
            }
        )

    def _appended(
        self,
        connection: sqlite3.Connection,
        kind: AuditKind,
        reference: str,
        payload: str,
        occurred_at: datetime,
        subjects: Collection[str],
        parts: Sequence[tuple[str, str]],
        forgets: Iterable[str],
    ) -> AuditEntry:
        before = self._head(connection)
        salts = _salts(1 + len(parts))
        # In the order of their commitments, which says nothing of whose they are.
        committed = sorted(
            (_commitment(salt, said), salt, name)
            for salt, (name, said) in zip(salts[1:], parts, strict=True)
        )
        commitments = [_commitment(salts[0], payload), *(each[0] for each in committed)]
        entry = linked(
            AuditEntry(
                before.sequence + 1, kind, reference, _iso(occurred_at), _iso(datetime.now(UTC)),
                b"".join(commitments), canonical(_forget(connection, forgets)), before.hash, "",
            )
        )  # fmt: skip
        connection.execute(
            "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", tuple(vars(entry).values())
        )
        openings = [Opening(entry.sequence, 0, salts[0], payload)]
        openings += [
            Opening(entry.sequence, position, salt, None)
            for position, (_, salt, _name) in enumerate(committed, start=1)
        ]
        connection.executemany("INSERT INTO opening VALUES (?, ?, ?, ?)", openings)
        named = [(name, entry.sequence, 0) for name in set(subjects)]
        named += [
            (name, entry.sequence, position)
            for position, (*_, name) in enumerate(committed, start=1)
        ]
        # In the table's order, so that SQLite fills one page after the other.
        connection.executemany("INSERT INTO subject VALUES (?, ?, ?)", sorted(named))
        return entry

    def _head(self, connection: sqlite3.Connection) -> Head:
        row = connection.execute(
            "SELECT sequence, hash, recorded_at FROM entry ORDER BY sequence DESC LIMIT 1"
        ).fetchone()
        return Head(self._retailer, *(row or (0, _beginning(self._retailer), "")))

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        if not self._file.exists():
            os.close(os.open(self._file, os.O_CREAT | os.O_WRONLY, 0o600))
        connection = sqlite3.connect(self._file, timeout=30, isolation_level=None)
        try:
            connection.execute("PRAGMA secure_delete = ON")
            connection.executescript(_SCHEMA)
            yield connection
            if connection.in_transaction:
                connection.execute("COMMIT")
        finally:
            connection.close()


def canonical(said: JSON) -> str:
    """The one JSON text of a value."""
    return json.dumps(
        said, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def linked(entry: AuditEntry) -> AuditEntry:
    """The entry with the hash that follows from the rest of it."""
    said = {**vars(entry), "commitments": hashlib.sha256(entry.commitments).hexdigest()}
    del said["sequence"], said["hash"]
    return AuditEntry(
        **{**vars(entry), "hash": hashlib.sha256(canonical(said).encode()).hexdigest()}
    )


def verified(
    retailer: str,
    entries: Sequence[AuditEntry],
    openings: Iterable[Opening],
    head: Head | None = None,
) -> list[Finding]:
    """What is wrong with a log; see ``AuditLog.verify``.

    Args:
        retailer: Whose log it is.
        entries: In the order of their sequences.
        openings: What is kept beside them.
        head: An earlier end of the log.
    """
    found = [*_unlinked(retailer, entries), *_unopened(entries, openings)]
    found.sort(key=lambda finding: finding.sequence)
    return found + ([] if head is None else _cut_off(retailer, entries, head))


def _unlinked(retailer: str, entries: Sequence[AuditEntry]) -> Iterator[Finding]:
    """Where the chain is broken."""
    places = {entry.hash: entry.sequence for entry in reversed(entries)}
    before, previous = 0, _beginning(retailer)
    for entry in entries:
        gap = entry.sequence != before + 1
        if gap:
            missing = f"entries {before + 1} to {entry.sequence - 1} are"
            if entry.sequence == before + 2:
                missing = f"entry {before + 1} is"
            yield Finding(before + 1, "missing", f"{missing} not there")
        if linked(entry).hash != entry.hash:
            yield Finding(entry.sequence, "edited", "its content is not what its hash was made of")
        elif places[entry.hash] != entry.sequence:
            said = f"it is entry {places[entry.hash]} once more"
            yield Finding(entry.sequence, "repeated", said)
        elif entry.previous_hash != previous and not gap:
            yield _out_of_place(entry, before, places.get(entry.previous_hash))
        before, previous = entry.sequence, entry.hash


def _out_of_place(entry: AuditEntry, before: int, follows: int | None) -> Finding:
    if follows is not None:
        return Finding(
            entry.sequence, "reordered", f"it was made to follow entry {follows}, not {before}"
        )
    return Finding(
        entry.sequence,
        "unlinked",
        f"it does not follow entry {before}: that one was rewritten, or is not the one that was "
        "there, or entries between the two were taken out",
    )


def _unopened(entries: Sequence[AuditEntry], openings: Iterable[Opening]) -> Iterator[Finding]:
    """Where what is kept beside the chain is not what the chain commits to."""
    forgotten = {place: entry.sequence for entry in entries for place in _forgotten(entry)}
    kept = {(opening.sequence, opening.position): opening for opening in openings}
    for entry in entries:
        for position in range(len(entry.commitments) // _COMMITMENT_BYTES):
            place = (entry.sequence, position)
            opening, erasure = kept.pop(place, None), forgotten.get(place, 0)
            what = "its payload" if position == 0 else f"the salt of its part {position}"
            if opening is None and erasure <= entry.sequence:
                yield Finding(
                    entry.sequence, "opening missing", f"{what} is gone, and no erasure says so"
                )
            elif opening is not None and erasure > entry.sequence:
                yield Finding(
                    entry.sequence,
                    "opening kept",
                    f"{what} is there, though the erasure of entry {erasure} destroyed it; erase again",
                )
            elif opening is not None and not _opens(entry, opening):
                yield Finding(entry.sequence, "opening altered", f"{what} is not what it was")
    for sequence, position in kept:
        yield Finding(
            sequence, "opening altered", f"the opening {position} is of nothing that is there"
        )


def _opens(entry: AuditEntry, opening: Opening) -> bool:
    if opening.said is None:
        return opening.position > 0
    made = _commitment(opening.salt, opening.said)
    return hmac.compare_digest(made, entry.commitment(opening.position))


def _forgotten(entry: AuditEntry) -> list[tuple[int, int]]:
    """What an entry destroyed; nothing where it is not what it was."""
    if linked(entry).hash != entry.hash:
        return []
    return [(sequence, position) for sequence, position in json.loads(entry.forgotten)]


def _cut_off(retailer: str, entries: Sequence[AuditEntry], head: Head) -> list[Finding]:
    """What an earlier end of the log shows."""
    if head.retailer != retailer:
        raise AuditError(f"this head is of {head.retailer}, not of {retailer}; set SIYU_RETAILER")
    last = entries[-1].sequence if entries else 0
    if last < head.sequence:
        return [
            Finding(
                last + 1,
                "truncated",
                f"the log went up to entry {head.sequence} when this head was taken, and ends at "
                f"{last} now: its end was cut off, or a backup from before was restored",
            )
        ]
    hashes = {0: _beginning(retailer)} | {entry.sequence: entry.hash for entry in entries}
    if hashes.get(head.sequence) != head.hash:
        return [
            Finding(
                head.sequence,
                "rewritten",
                "it is not the entry that the head was taken of: the log was made anew up to here, "
                "or a backup from before was restored and went on differently",
            )
        ]
    return []


def _forget(connection: sqlite3.Connection, identifiers: Iterable[str]) -> list[list[int]]:
    """Destroy all that opens what was said of people; says which openings those were."""
    connection.execute("CREATE TEMP TABLE forgotten (identifier TEXT PRIMARY KEY) WITHOUT ROWID")
    connection.executemany(
        "INSERT INTO forgotten VALUES (?)", ((name,) for name in sorted(set(identifiers)))
    )
    places = connection.execute(
        "SELECT DISTINCT sequence, position FROM forgotten JOIN subject USING (identifier) "
        "ORDER BY sequence, position"
    ).fetchall()
    connection.execute("DROP TABLE forgotten")
    connection.executemany("DELETE FROM opening WHERE sequence = ? AND position = ?", places)
    # Also of whoever else the same words spoke of.
    if places:
        connection.execute(
            "DELETE FROM subject WHERE (sequence, position) NOT IN "
            "(SELECT sequence, position FROM opening)"
        )
    return [list(place) for place in places]


def _entries(
    connection: sqlite3.Connection, where: str = "", parameters: Sequence[str] = ()
) -> list[AuditEntry]:
    rows = connection.execute(f"SELECT * FROM entry {where} ORDER BY sequence", parameters)
    return [AuditEntry(*row) for row in rows]


def _salts(count: int) -> list[bytes]:
    drawn = os.urandom(count * _SALT_BYTES)
    return [drawn[at : at + _SALT_BYTES] for at in range(0, len(drawn), _SALT_BYTES)]


def _commitment(salt: bytes, said: str) -> bytes:
    return hmac.digest(salt, said.encode(), "sha256")


def _beginning(retailer: str) -> str:
    """What stands before the first entry: a log cannot be taken for another retailer's."""
    return hashlib.sha256(f"audit log of {retailer}".encode()).hexdigest()


def _iso(at: datetime) -> str:
    aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="milliseconds")
