"""Files on this machine, named by a path or a glob.

What belongs here: finding files, leaving those alone that are still being written, and hashing
them. What does not: what is in them.
"""

from __future__ import annotations

import glob
import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from fsspec import AbstractFileSystem

from siyu.config import Settings
from siyu.ingestion.errors import InputError
from siyu.retailer import Input, RetailerError, fill

_UNFINISHED = (".partial", ".tmp", ".part", ".filepart", ".crdownload", "~")


class Stamp(NamedTuple):
    """What differs between two states of a file that was not tampered with."""

    device: int
    inode: int
    bytes: int
    modified_ns: int
    changed_ns: int

    @staticmethod
    def of(path: Path) -> Stamp:
        """The state of a file now."""
        found = path.stat()
        return Stamp(
            found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
        )


@dataclass(frozen=True)
class SourceFile:
    """One file as it was when it was hashed.

    Attributes:
        path: Where it lies.
        name: Its name relative to the input's root.
        sha256: Hash of its bytes.
        bytes: Its size.
        url: What DuckDB opens: the path, or an address of ``filesystem``.
        filesystem: Opens it, where it is not a plain file on this machine.
        stamp: Its state when it was hashed; None for one that nobody changes.
    """

    path: Path
    name: str
    sha256: str
    bytes: int
    url: str
    filesystem: AbstractFileSystem | None = field(default=None, compare=False, repr=False)
    stamp: Stamp | None = field(default=None, compare=False, repr=False)

    @property
    def has_changed(self) -> bool:
        """Whether what lies there may not be what was hashed."""
        try:
            return self.stamp is not None and Stamp.of(self.path) != self.stamp
        except OSError:
            return True

    def open(self) -> BinaryIO:
        """Its bytes, packed if they are packed.

        Raises:
            OSError: it is gone, damaged, or may not be read.
            VaultError: it is sealed, and its key is missing or another one.
        """
        if self.filesystem is None:
            return self.path.open("rb")
        return cast(BinaryIO, self.filesystem.open(self.url))


@dataclass(frozen=True)
class Found:
    """What a connector found.

    Attributes:
        location: Where it looked.
        files: Files to read, by name.
        waiting: Names of files left for later, because they are still being written.
        complete_through: Last local day the files are complete for, where the connector knows it.
    """

    location: str
    files: tuple[SourceFile, ...]
    waiting: tuple[str, ...] = ()
    complete_through: date | None = None


def find_files(name: str, source: Input, settings: Settings, now: datetime) -> Found:
    """Find and hash the files of an input.

    Args:
        name: The input, for messages.
        source: Its settings.
        settings: Fills the variables of the location.
        now: The wall clock, for ``settle_seconds``.

    Raises:
        InputError: a variable is not set, or a file or folder cannot be read.
    """
    try:
        location = fill(source.location, settings)
    except RetailerError as error:
        raise InputError(f"input {name}: {error}") from None
    root = _root(location)
    files: list[SourceFile] = []
    waiting: list[str] = []
    try:
        paths = paths_at(location)
    except OSError as error:
        raise InputError(
            f"input {name}: {error.filename} cannot be looked into ({error.strerror}); give the user "
            "that runs siyu the right to read it"
        ) from None
    for path in paths:
        relative = path.relative_to(root).as_posix()
        if path.is_dir():
            if not glob.has_magic(location):
                raise InputError(
                    f"input {name}: {path} is a folder; name its files with a glob such as "
                    f"{location.rstrip('/')}/*.{source.format}"
                )
            continue
        try:
            waits = is_unfinished(path, source.settle_seconds, now)
            hashed = None if waits else _hashed(path, relative)
        except OSError as error:
            raise InputError(
                f"input {name}: {path} cannot be read ({error.strerror}); give the user that runs "
                "siyu the right to read it, or move it away"
            ) from None
        if hashed is None:
            waiting.append(relative)
        else:
            files.append(hashed)
    return Found(location, tuple(files), tuple(waiting))


def paths_at(location: str) -> list[Path]:
    """What lies at a location now, a path or a glob, by name; folders too.

    Raises:
        OSError: a folder on the way may not be looked into; globbing alone would take it for empty.
    """
    root = _root(location)
    parts = Path(location).relative_to(root).parts
    for depth, part in enumerate(parts):
        # Two stars stand for the folders themselves as well.
        above = "/".join(parts[: depth + (part == "**")])
        for folder in root.glob(above) if above else (root,):
            if glob.has_magic(part) and folder.is_dir():
                os.scandir(folder).close()
            elif not glob.has_magic(part):
                with suppress(FileNotFoundError, NotADirectoryError):
                    (folder / part).lstat()
    return sorted(root.glob("/".join(parts)))


def is_unfinished(path: Path, settle_seconds: int, now: datetime) -> bool:
    """Whether a file is still being written, by its name or by its age."""
    if path.name.endswith(_UNFINISHED) or path.name.startswith("."):
        return True
    if settle_seconds == 0:
        return False
    changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return now - changed < timedelta(seconds=settle_seconds)


def _root(location: str) -> Path:
    """The folder above the first part of a location that holds a wildcard, or above the file."""
    root = Path(location)
    while glob.has_magic(str(root)):
        root = root.parent
    return root if glob.has_magic(location) else root.parent


def _hashed(path: Path, relative: str) -> SourceFile | None:
    """The file with its hash, or None when it changed while it was read."""
    before = Stamp.of(path)
    sha256 = _sha256(path, before)
    if Stamp.of(path) != before:
        return None
    return SourceFile(path, relative, sha256, before.bytes, str(path), stamp=before)


@lru_cache(maxsize=65_536)
def _sha256(path: Path, _stamp: Stamp) -> str:
    """Hash of a file's bytes; a file that feeds several entities is read for it once."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
