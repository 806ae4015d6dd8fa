"""What entries of the audit log speak of, where it lies elsewhere: consent events and publications.

Each batch of consent events is an entry, with a commitment to what the lake holds of each identifier in
it; each publication is one, with the hash of every file. Both are recorded from what lies there, so that a
run that was killed in between records it the next time.

What belongs here: recording them, and whether what lies there is what was recorded. What does not: the
log itself (``siyu.audit``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, NamedTuple

import duckdb

from siyu.audit import JSON, AuditEntry, AuditLog, Fault, Finding
from siyu.contracts import contract
from siyu.lake import Lake, Manifest, identifier, literal
from siyu.paths import Paths

CONSENTS: Final = "consents"

_EXAMPLES: Final = 3


@dataclass(frozen=True)
class Held:
    """What the lake holds of one identifier in one batch.

    Attributes:
        said: Its rows, in one text that does not depend on their order or on null columns.
        example: One of the consent ids.
    """

    said: str
    example: str


class _Due(NamedTuple):
    """An entry that is to be made of a commit to the consents."""

    reference: str
    manifest: Manifest
    batch_id: str
    with_rows: bool


def record_consents(paths: Paths) -> int:
    """Give every batch of consent events that the log does not know its entry.

    A retraction, and what a migration made of each batch, are entries too.

    Args:
        paths: The retailer's places.

    Returns:
        How many entries were made.
    """
    log, lake = AuditLog.of(paths), Lake(paths)
    due = _due(log, lake)
    if not due:
        return 0
    held = _consents(lake, {one.batch_id for one in due if one.with_rows})
    for one in due:
        rows = held.get(one.batch_id, {}) if one.with_rows else {}
        manifest = one.manifest
        log.append(
            "consents",
            one.reference,
            {
                "commit": manifest.kind,
                "batch_id": one.batch_id,
                "source": manifest.source,
                "files": [file.sha256 for file in manifest.files],
                "accepted": manifest.accepted,
                "takes_out": [*manifest.replaces, *manifest.retracts],
                "run_id": manifest.run_id,
            },
            manifest.loaded_at,
            parts=((name, of.said) for name, of in rows.items()),
        )
    return len(due)


def _due(log: AuditLog, lake: Lake) -> list[_Due]:
    """What was committed to the consents and has no entry yet, in the order of the commits."""
    ledger = lake.ledger(CONSENTS)
    if not ledger.manifests:
        return []
    recorded = {entry.reference for entry in log.entries() if entry.kind == "consents"}
    active = {manifest.batch_id for manifest in ledger.active}
    found = [one for manifest in ledger.manifests for one in _entries_of(manifest, active)]
    return [one for one in found if one.reference not in recorded]


def _entries_of(manifest: Manifest, active: Collection[str]) -> Iterator[_Due]:
    when = manifest.loaded_at.isoformat()
    if manifest.kind == "migration":
        # Every row was written anew.
        for batch_id in sorted(active):
            yield _Due(f"migration {batch_id} {when}", manifest, batch_id, True)
        return
    landed = manifest.kind == "landing" and manifest.batch_id in active
    reference = f"{manifest.kind} {manifest.batch_id} {when}"
    yield _Due(reference, manifest, manifest.batch_id, landed)


def record_publication(
    paths: Paths, written: Path, name: str, run_id: str, as_of: date
) -> AuditEntry:
    """Give a publication its entry.

    Args:
        paths: The retailer's places.
        written: The folder that it was written to.
        name: What the folder will be called, which is the entry's reference.
        run_id: The run that made it.
        as_of: The day that it speaks of.
    """
    said: dict[str, JSON] = {"run_id": run_id, "as_of": as_of.isoformat()}
    return AuditLog.of(paths).append(
        "publication", name, said | {"files": _hashes(written)}, datetime.now(UTC)
    )


def verify_evidence(paths: Paths) -> list[Finding]:
    """Where what lies in the lake and under ``serving`` is not what the log recorded.

    A publication that is no longer kept is no finding, nor is a consent event whose subject was
    erased since.
    """
    log = AuditLog.of(paths)
    entries = log.entries()
    found = [*_altered_consents(log, Lake(paths), entries)]
    found += _altered_publications(paths, log, entries)
    return sorted(found, key=lambda finding: finding.sequence)


def _altered_consents(
    log: AuditLog, lake: Lake, entries: Collection[AuditEntry]
) -> Iterator[Finding]:
    in_force = _in_force(log, entries)
    held = _consents(lake)
    for batch_id, entry in in_force.items():
        yield from _altered_batch(log, entry, batch_id, held.pop(batch_id, {}))
    landed = {manifest.batch_id for manifest in lake.manifests(CONSENTS)}
    for batch_id in sorted(held.keys() - landed):
        yield Finding(
            0, "evidence altered", f"the lake holds consent events of a batch {batch_id} that no "
            "landing brought, or that was taken out"
        )  # fmt: skip


def _in_force(log: AuditLog, entries: Collection[AuditEntry]) -> dict[str, AuditEntry]:
    """By batch, the entry that says what the lake is to hold of it now."""
    found: dict[str, AuditEntry] = {}
    for entry in entries:
        said = log.payload(entry) if entry.kind == "consents" else None
        if said is None:
            continue
        for batch_id in said["takes_out"]:
            found.pop(batch_id, None)
        if said["commit"] in ("landing", "migration"):
            found[said["batch_id"]] = entry
    return found


def _altered_batch(
    log: AuditLog, entry: AuditEntry, batch_id: str, held: Mapping[str, Held]
) -> Iterator[Finding]:
    parts = log.parts(entry)
    gone = len(parts.keys() - held.keys())
    if gone:
        yield _finding(entry, "evidence missing", batch_id, f"those of {gone} identifiers are gone")
    changed = sorted(
        held[name].example
        for name, part in parts.items()
        if name in held and not part.opens_to(held[name].said)
    )
    if changed:
        yield _finding(entry, "evidence altered", batch_id, f"not as landed: {_some(changed)}")
    added = sorted(held[name].example for name in held.keys() - parts.keys())
    if added:
        told = f"not there when it landed, or of somebody who was erased: {_some(added)}"
        yield _finding(entry, "evidence altered", batch_id, told)


def _finding(entry: AuditEntry, fault: Fault, batch_id: str, told: str) -> Finding:
    return Finding(entry.sequence, fault, f"consent events of batch {batch_id} in the lake: {told}")


def _some(names: list[str]) -> str:
    more = len(names) - _EXAMPLES
    return ", ".join(names[:_EXAMPLES]) + (f" and {more} more" if more > 0 else "")


def _altered_publications(
    paths: Paths, log: AuditLog, entries: Collection[AuditEntry]
) -> Iterator[Finding]:
    for entry in entries:
        folder = paths.serving / entry.reference
        if entry.kind != "publication" or not folder.is_dir():
            continue
        said, lies = (log.payload(entry) or {}).get("files", {}), _hashes(folder)
        for name in sorted(said.keys() - lies.keys()):
            yield Finding(entry.sequence, "evidence missing", f"{folder / name} is gone")
        for name in sorted(name for name in said.keys() & lies.keys() if said[name] != lies[name]):
            yield Finding(
                entry.sequence, "evidence altered", f"{folder / name} is not what was published"
            )


def _consents(lake: Lake, batches: Collection[str] | None = None) -> dict[str, dict[str, Held]]:
    """What the lake holds of each identifier, by batch; of these batches, or of all."""
    columns = ", ".join(
        f"'{column.name}=' || to_json(CAST({identifier(column.name)} AS VARCHAR))"
        for column in contract(CONSENTS).lake_columns
    )
    where = ""
    if batches is not None:
        where = f"WHERE _batch_id IN ({', '.join(map(literal, sorted(batches))) or 'NULL'})"
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT _batch_id, identifier, string_agg(said, chr(10) ORDER BY said), min(consent_id) "
            f"FROM (SELECT _batch_id, identifier, consent_id, concat_ws(' ', {columns}) AS said "
            f"FROM ({lake.query(CONSENTS)}) {where}) GROUP BY ALL"
        ).fetchall()
    found: dict[str, dict[str, Held]] = {}
    for batch_id, name, said, example in rows:
        found.setdefault(batch_id, {})[name] = Held(said, example)
    return found


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a publication, by name; what readers leave beside them is left out."""
    return {
        file.relative_to(folder).as_posix(): _hash(file)
        for file in sorted(folder.rglob("*"))
        if file.suffix in (".duckdb", ".parquet")
    }


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
