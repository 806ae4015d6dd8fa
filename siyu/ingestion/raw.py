"""Raw files: what was pulled from other systems, sealed as it came, so that it can be mapped again.

Every file carries in its footer the cursor that the pull had reached when it was written, so a file
and the progress it stands for appear together or not at all. No other record of progress exists:
beside the files lies only how far a pull that ended showed them to be complete.

What belongs here: writing, listing and opening raw files. What does not: asking a system
(``connectors``) or reading records (``readers``).
"""

from __future__ import annotations

import io
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Final

from siyu.ingestion.sealed import (
    SUFFIX,
    SealedFileSystem,
    SealedReader,
    SealedWriter,
    read_footer,
    sealed_url,
)
from siyu.paths import Paths
from siyu.vault import Vault

# Writes bytes to a stream and says how many records they hold.
Write = Callable[[BinaryIO], int]
Cursor = Mapping[str, Any]

_ASKED: Final = "asked.json"
_NAME: Final = re.compile(r"\d{8}T\d{12}Z-\d{6}\..+" + re.escape(SUFFIX))


@dataclass(frozen=True)
class RawFile:
    """One raw file.

    Attributes:
        path: The sealed file.
        sha256: Hash of its plain bytes.
        bytes: Plain size.
        rows: Records in it.
        pulled_at: When the pull that wrote it began (UTC).
        cursor: Where the next pull goes on.
        complete_through: Last local day that the source had completed when it was asked; it holds
            once the pull has come to its end (``RawStore.complete_through``).
        origin: What the other system calls it, such as an object's key; empty for pages and tables.
    """

    path: Path
    sha256: str
    bytes: int
    rows: int
    pulled_at: datetime
    cursor: Cursor
    complete_through: date | None
    origin: str = ""

    @property
    def name(self) -> str:
        """What manifests call it: its own name, and what the other system calls it.

        Both, because an object that was replaced comes twice under one key.
        """
        own = self.path.name.removesuffix(SUFFIX)
        return f"{own.partition('.')[0]}/{self.origin}" if self.origin else own

    @property
    def url(self) -> str:
        """Its address for DuckDB, on a connection with ``RawStore.filesystem``."""
        return sealed_url(self.path)


class RawStore:
    """Raw files of one input."""

    def __init__(self, paths: Paths, source: str) -> None:
        self._paths = paths
        self.folder = paths.raw / source

    @cached_property
    def _vault(self) -> Vault:
        return Vault.of(self._paths)

    @property
    def filesystem(self) -> SealedFileSystem:
        """Opens this retailer's raw files; register it with a DuckDB connection."""
        return SealedFileSystem(lambda file: self._vault.batch_key(_key_id(file)))

    def files(self) -> list[RawFile]:
        """Every raw file, oldest first.

        Raises:
            SealedError: one of them is not whole.
        """
        return [_described(path) for path in self._written()]

    def cursor(self) -> Cursor:
        """Where the last pull got to; empty before the first."""
        written = self._written()
        return _described(written[-1]).cursor if written else {}

    def _written(self) -> list[Path]:
        """Where the raw files are, oldest first; none is opened."""
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))

    def complete_through(self) -> date | None:
        """Last local day of which the raw files hold everything; None before a pull that ended."""
        try:
            said = json.loads((self.folder / _ASKED).read_text("utf-8"))
        except FileNotFoundError:
            return None
        through: str | None = said["complete_through"]
        return date.fromisoformat(through) if through else None

    def note_asked(self, complete_through: date | None, at: datetime) -> None:
        """Remember that a pull came to its end, also when it found nothing new.

        Args:
            complete_through: Last local day of which it brought everything; None where asking does
                not show that.
            at: When it began (UTC).
        """
        said = {
            "asked_at": at.isoformat(),
            "complete_through": complete_through.isoformat() if complete_through else None,
        }
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self.folder / f".{secrets.token_hex(4)}.partial"
        try:
            partial.write_text(json.dumps(said), "utf-8")
            partial.replace(self.folder / _ASKED)
        finally:
            partial.unlink(missing_ok=True)

    def write(
        self,
        suffix: str,
        write: Write,
        cursor: Cursor,
        pulled_at: datetime,
        complete_through: date | None,
        origin: str = "",
    ) -> RawFile | None:
        """Write one file whole, or none.

        Args:
            suffix: What the bytes are, such as ``.jsonl.zst``.
            write: Writes them and says how many records they hold.
            cursor: Where to go on when this file is there.
            pulled_at: When the pull began (UTC).
            complete_through: Last local day the source is complete for.
            origin: What the other system calls it.

        Returns:
            The file; None when there was no record, or the same bytes as in the last file came
            again at the same cursor.
        """
        written = self._written()
        name = f"{pulled_at:%Y%m%dT%H%M%S%f}Z-{len(written):06d}{suffix}{SUFFIX}"
        said: dict[str, Any] = {
            "cursor": dict(cursor),
            "pulled_at": pulled_at.isoformat(),
            "complete_through": complete_through.isoformat() if complete_through else None,
        }
        if origin:
            said["origin"] = origin
        last = _described(written[-1]) if written else None

        def is_new(rows: int, sha256: str) -> bool:
            again = last is not None and (last.sha256, last.cursor) == (sha256, said["cursor"])
            return rows > 0 and not again

        path = self._put(self.folder / name, write, said, pulled_at, is_new)
        return None if path is None else _described(path)

    def keep(self, name: str, write: Write, at: datetime) -> None:
        """Replace a sealed file beside the raw ones, such as what a snapshot last saw."""
        self._put(self.folder / f"{name}{SUFFIX}", write, {}, at, lambda *_: True)

    def kept(self, name: str) -> str | None:
        """Address of a file that was kept; None when there is none."""
        file = self.folder / f"{name}{SUFFIX}"
        return sealed_url(file) if file.is_file() else None

    def open(self, file: Path) -> io.BufferedReader:
        """The plain bytes of a raw file.

        Raises:
            SealedError: it is not whole.
            VaultError: the key is not the one it was sealed under.
        """
        return io.BufferedReader(SealedReader(file, self._vault.batch_key(_key_id(file))))

    def sealed(self) -> list[Path]:
        """Every sealed file, those that are kept beside the raw ones too."""
        return sorted(self.folder.glob(f"[!.]*{SUFFIX}"))

    @staticmethod
    def manifest_name(file: Path) -> str | None:
        """What manifests call a raw file; None of one that is kept beside them."""
        return _described(file).name if _NAME.fullmatch(file.name) else None

    @staticmethod
    def erased_for(file: Path) -> list[str]:
        """Requests for which a file was sealed anew."""
        found: list[str] = read_footer(file).get("erased_for", [])
        return found

    def reseal(self, file: Path, plain: bytes, request_id: str) -> None:
        """Put other bytes in place of a file's, which says of itself what it did.

        Its hash and its records stay those that were pulled, so that it still counts as landed.
        """
        said = read_footer(file)
        noted = {"erased_for": [*said.get("erased_for", []), request_id]}
        partial = file.with_name(f".{secrets.token_hex(4)}.partial")
        writer = SealedWriter(partial, self._vault.batch_key(_key_id(file)))
        try:
            writer.write(plain)
            writer.finish({**said, **noted})
            partial.replace(file)
            _flush(self.folder)
        finally:
            writer.abandon()
            partial.unlink(missing_ok=True)

    def destroy(self, file: Path) -> None:
        """Remove a file and the key that opens any copy of it."""
        self._vault.destroy_batch_key(_key_id(file))
        file.unlink()

    def _put(
        self,
        file: Path,
        write: Write,
        said: Mapping[str, Any],
        at: datetime,
        wanted: Callable[[int, str], bool],
    ) -> Path | None:
        """Write under another name first, so that a killed process leaves no half file."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = file.with_name(f".{secrets.token_hex(4)}.partial")
        writer = SealedWriter(partial, self._vault.new_batch_key(_key_id(file), at))
        try:
            rows = write(writer)  # type: ignore[arg-type]  # RawIOBase is what BinaryIO wants
            sha256 = writer.sha256
            if not wanted(rows, sha256):
                return None
            writer.finish({**said, "rows": rows, "sha256": sha256})
            partial.replace(file)
            _flush(self.folder)
        finally:
            writer.abandon()
            partial.unlink(missing_ok=True)
        return file


def _key_id(file: Path) -> str:
    """Name of the data key of a raw file, in the vault."""
    return f"raw/{file.parent.name}/{file.name}"


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _described(path: Path) -> RawFile:
    said = read_footer(path)
    through = said["complete_through"]
    return RawFile(
        path, said["sha256"], said["size"], said["rows"],
        datetime.fromisoformat(said["pulled_at"]), said["cursor"],
        date.fromisoformat(through) if through else None, said.get("origin", ""),
    )  # fmt: skip
