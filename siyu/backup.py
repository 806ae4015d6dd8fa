"""Backups: everything that cannot be made again, in one folder, and putting it back.

What cannot be made again is the lake, the quarantine, what is kept aside, the raw files and the days they
are complete through, who was erased, the identity map, the vault, the ledger, the audit log and the models;
the warehouse, features, scores and publications follow from them by a refresh.
The keys are not in a backup: whoever holds both holds the customers' phones.

What belongs here: copying, checking and restoring. What does not: deciding when, or where to keep
backups.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from siyu.paths import Paths
from siyu.vault import Vault, VaultError, load_keys, token
from siyu.warehouse import writer_lock

_MANIFEST: Final = "backup.json"
_FORMAT: Final = 1
_KEYS: Final = ("token.key", "wrapping.key")
# Columns in which MLflow keeps absolute places of artefacts.
_MLFLOW_PLACES: Final = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("storage_location", "source"),
}


class BackupError(Exception):
    """A backup cannot be made or restored; the message says why and what to do."""


@dataclass(frozen=True)
class Backup:
    """What a backup holds.

    Attributes:
        folder: Where it lies.
        retailer: Whose it is.
        made_at: When (UTC).
        files: How many files.
        bytes: Their size.
    """

    folder: Path
    retailer: str
    made_at: datetime
    files: int
    bytes: int


def back_up(paths: Paths, folder: Path, keys: Path | None, now: datetime) -> Backup:
    """Copy what cannot be made again, while no run writes.

    Args:
        paths: The retailer's places.
        folder: Backups lie below it, one folder each, named after the retailer and the moment.
        keys: Folder for a copy of the keys, on another medium; None leaves them out.
        now: The wall clock.

    Raises:
        BackupError: there is nothing to back up, or the keys would lie with the backup.
        WarehouseBusy: a run is writing.
    """
    if not paths.lake.is_dir():
        raise BackupError(f"{paths.lake}: nothing has landed yet, so there is nothing to back up")
    if keys is not None and keys.resolve().is_relative_to(folder.resolve()):
        raise BackupError(f"{keys}: keep the keys apart from the backup that they open")
    whole = folder / f"{paths.retailer}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    partial = folder / f".{whole.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    with writer_lock(paths, timeout=0):
        for name, place in places(paths):
            _copy(place, partial / name)
        if keys is not None:
            _copy_keys(paths.keys, keys)
    files = {name: _hash(partial / name) for name in _files(partial)}
    said = {
        "format": _FORMAT,
        "retailer": paths.retailer,
        "made_at": now.astimezone(UTC).isoformat(),
        "mlflow": str(paths.mlflow),
        "files": files,
    }
    (partial / _MANIFEST).write_text(json.dumps(said, indent=1), "utf-8")
    partial.replace(whole)
    return _described(whole, said)


def restore(backup: Path, paths: Paths, keys: Path | None) -> Backup:
    """Put a backup into an empty home; a refresh then makes the rest.

    Args:
        backup: The folder of one backup.
        paths: Where to; the retailer must not be there yet.
        keys: Folder with the keys; None takes those in the environment.

    Raises:
        BackupError: the backup is not whole, is another retailer's, is not opened by the keys, or
            something is in its place.
    """
    said = _read(backup, paths)
    staged = Paths(paths.home / f".{paths.retailer}.partial", paths.retailer)
    if not _is_staged(backup, staged):
        _require_empty(paths.root, paths.mlflow)
        _require_whole(backup, said)
        try:
            _stage(backup, staged, keys, Path(said["mlflow"]), paths.mlflow)
        except BaseException:
            shutil.rmtree(staged.home, ignore_errors=True)
            raise
    # Two folders change places, and a kill may come between them. Then what is staged is still whole,
    # and the next restore goes on with what has not found its place.
    for found, place in ((staged.mlflow, paths.mlflow), (staged.root, paths.root)):
        if found.is_dir():
            _require_empty(place)
            found.replace(place)
    shutil.rmtree(staged.home, ignore_errors=True)
    return _described(backup, said)


def _stage(backup: Path, staged: Paths, keys: Path | None, old: Path, new: Path) -> None:
    """Lay a backup out as a home, beside the place that it is for.

    Args:
        backup: The folder of one backup.
        staged: Where to.
        keys: Folder with the keys; None takes those in the environment.
        old: Where MLflow's files lay in the home that was backed up.
        new: Where they will lie.
    """
    shutil.rmtree(staged.home, ignore_errors=True)
    for name, place in places(staged):
        _copy(backup / name, place)
    if keys is not None:
        _copy_keys(keys, staged.keys)
    _require_keys(staged)
    _move_artifacts(staged.mlflow / "mlflow.db", old, new)
    # Last: it says that all of this is there.
    shutil.copyfile(backup / _MANIFEST, staged.home / _MANIFEST)


def _is_staged(backup: Path, staged: Paths) -> bool:
    """Whether an earlier restore of the same backup had laid all of it out when it was killed."""
    whole = staged.home / _MANIFEST
    return (
        staged.root.is_dir()
        and whole.is_file()
        and whole.read_bytes() == (backup / _MANIFEST).read_bytes()
    )


def places(paths: Paths) -> Iterator[tuple[str, Path]]:
    """What a backup holds: its name there, and where it lies in a home."""
    yield "lake", paths.lake
    yield "quarantine", paths.quarantine
    yield "aside", paths.aside
    yield "raw", paths.raw
    yield "complete", paths.complete
    yield "tombstones", paths.tombstones
    yield "identity", paths.identity
    yield "vault.sqlite3", paths.vault
    yield "ops.sqlite3", paths.ops
    yield "audit.sqlite3", paths.audit
    yield "erasures.sqlite3", paths.erasures
    yield "mlflow", paths.mlflow


def _copy(source: Path, target: Path) -> None:
    """Copy a folder or a file; SQLite files through SQLite, which may be in the middle of a write."""
    if not source.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        for name in _files(source):
            _copy(source / name, target / name)
    elif source.suffix in (".sqlite3", ".db"):
        with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
            one.backup(other)
        target.chmod(0o600)
    else:
        shutil.copy2(source, target)


def _files(folder: Path) -> list[str]:
    """Files below a folder, by name; what SQLite keeps beside its files is left out."""
    return sorted(
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.is_file() and not file.name.endswith(("-wal", "-shm", "-journal"))
    )


def _copy_keys(source: Path, target: Path) -> None:
    found = [source / name for name in _KEYS if (source / name).is_file()]
    if not found:
        raise BackupError(
            f"{source}: no keys there; where they come from the environment, keep SIYU_TOKEN_KEY "
            "and SIYU_WRAPPING_KEY safe yourself"
        )
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    target.chmod(0o700)
    for file in found:
        descriptor = os.open(target / file.name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(file.read_bytes())


def _read(backup: Path, paths: Paths) -> dict[str, Any]:
    """The manifest of a backup of this retailer."""
    file = backup / _MANIFEST
    if not file.is_file():
        raise BackupError(f"{backup}: no {_MANIFEST} there, so this is no whole backup")
    said: dict[str, Any] = json.loads(file.read_text("utf-8"))
    if said.get("format") != _FORMAT:
        raise BackupError(f"{file}: format {said.get('format')} is not known to this version")
    if said["retailer"] != paths.retailer:
        raise BackupError(
            f"{backup} is of {said['retailer']}, not of {paths.retailer}; set SIYU_RETAILER"
        )
    return said


def _require_empty(*places: Path) -> None:
    for place in places:
        if place.exists() and any(place.iterdir()):
            raise BackupError(f"{place} is not empty; restore into a SIYU_HOME of its own")
        if place.exists():
            place.rmdir()


def _require_whole(backup: Path, said: dict[str, Any]) -> None:
    damaged = [
        name
        for name, sha256 in said["files"].items()
        if not (backup / name).is_file() or _hash(backup / name) != sha256
    ]
    if damaged:
        raise BackupError(
            f"{backup}: {len(damaged)} files are missing or changed, {damaged[0]} first; take "
            "another copy of the backup"
        )


def _require_keys(staged: Paths) -> None:
    """See that the keys are those of the vault, before anything is put in place."""
    if not staged.vault.is_file():
        return
    with closing(sqlite3.connect(f"file:{staged.vault}?mode=ro", uri=True)) as connection:
        value = connection.execute("SELECT token, kind FROM value LIMIT 1").fetchone()
        batch = connection.execute("SELECT batch_id FROM batch_key LIMIT 1").fetchone()
    found = load_keys(staged)
    vault = Vault(staged, found)
    try:
        if batch is not None:
            vault.batch_key(batch[0])
        form = vault.reveal(value[0]) if value is not None else None
        fits = form is None or token(found.token, value[1], form) == value[0]
    except VaultError:
        fits = False
    if not fits:
        raise BackupError(
            "the keys are not those of this backup's vault; give the folder with the keys of the "
            "home that was backed up, or set SIYU_TOKEN_KEY and SIYU_WRAPPING_KEY to them"
        )


def _move_artifacts(database: Path, old: Path, new: Path) -> None:
    """Tell MLflow where its artefacts lie now."""
    if old == new or not database.is_file():
        return
    with closing(sqlite3.connect(database)) as connection, connection:
        for table, columns in _MLFLOW_PLACES.items():
            for column in columns:
                connection.execute(
                    f"UPDATE {table} SET {column} = replace({column}, ?, ?) "
                    f"WHERE {column} LIKE '%' || ? || '%'",
                    (f"{old}/", f"{new}/", f"{old}/"),
                )


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _described(folder: Path, said: dict[str, Any]) -> Backup:
    sizes = [(folder / name).stat().st_size for name in said["files"]]
    return Backup(
        folder, said["retailer"], datetime.fromisoformat(said["made_at"]), len(sizes), sum(sizes)
    )
