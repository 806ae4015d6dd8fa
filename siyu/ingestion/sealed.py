"""Sealed files: bytes at rest encrypted under a key of their own, read back at any offset.

Chunks of one mebibyte are sealed with AES-GCM, each bound to its place in the file; a footer in
clear, itself authenticated, says what the file is. A file that is cut short, put together from two,
or changed cannot be opened. Reading by offset is what DuckDB needs, so ``SealedFileSystem`` gives it
such files under ``sealed://``.

What belongs here: the container. What does not: which keys there are (``siyu.vault``) and what the
bytes mean (``raw``, ``readers``).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fsspec import AbstractFileSystem

from siyu.vault import seal, unseal

PROTOCOL: Final = "sealed"
SUFFIX: Final = ".sealed"

_MAGIC: Final = b"siyu-sealed-1\n"
_CHUNK: Final = 1 << 20
_OVERHEAD: Final = 12 + 16  # what sealing adds: nonce and tag
_LENGTH: Final = 4

# Key of a sealed file, from its path.
KeyOf = Callable[[Path], bytes]


class SealedError(OSError):
    """A sealed file is damaged or foreign; the message says which."""


class SealedWriter(io.RawIOBase):
    """Writes a sealed file; nothing is readable until ``finish`` has been called.

    Whoever writes through it may close it, as compressors and Parquet writers do with what they
    write to; the file itself stays open until ``finish`` or ``abandon``.
    """

    def __init__(self, file: Path, key: bytes) -> None:
        super().__init__()
        self._key = key
        self._pending = bytearray()
        self._chunks = 0
        self.size = 0
        self._hash = hashlib.sha256()
        self._raw = os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        self._raw.write(_MAGIC)

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any) -> int:
        """Take bytes; whole chunks go to disk at once."""
        view = memoryview(data).cast("B")
        self._pending += view
        self._hash.update(view)
        self.size += len(view)
        while len(self._pending) > _CHUNK:
            self._put(bytes(self._pending[:_CHUNK]), last=False)
            del self._pending[:_CHUNK]
        return len(view)

    @property
    def sha256(self) -> str:
        """Hash of the plain bytes taken so far."""
        return self._hash.hexdigest()

    def finish(self, footer: Mapping[str, Any]) -> None:
        """Write the last chunk and the footer, flush them to the disk and close the file."""
        self._put(bytes(self._pending), last=True)
        self._pending.clear()
        said = json.dumps({**footer, "size": self.size}, ensure_ascii=False).encode()
        self._raw.write(said)
        self._raw.write(seal(self._key, b"", b"footer" + said))
        self._raw.write(len(said).to_bytes(_LENGTH, "big"))
        self._raw.write(_MAGIC)
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.close()

    def abandon(self) -> None:
        """Close the file, unreadable as it is."""
        self._raw.close()

    def _put(self, plain: bytes, last: bool) -> None:
        self._raw.write(seal(self._key, plain, _context(self._chunks, last)))
        self._chunks += 1


def _context(chunk: int, last: bool) -> bytes:
    return f"chunk {chunk}{' last' if last else ''}".encode()


def read_footer(file: Path) -> dict[str, Any]:
    """What a sealed file says of itself, unchecked: opening it is the check.

    Raises:
        SealedError: the file is not whole.
    """
    return _footer(file)[0]


def _footer(file: Path) -> tuple[dict[str, Any], bytes, bytes]:
    """The footer, its bytes and its seal."""
    tail = _LENGTH + len(_MAGIC)
    with file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        if size < 2 * len(_MAGIC) + _LENGTH + 2 * _OVERHEAD:
            raise SealedError(f"{file.name} is not a whole sealed file; pull it again")
        opened.seek(size - tail)
        end = opened.read(tail)
        length = int.from_bytes(end[:_LENGTH], "big")
        start = size - tail - _OVERHEAD - length
        if end[_LENGTH:] != _MAGIC or start < len(_MAGIC):
            raise SealedError(f"{file.name} is not a whole sealed file; pull it again")
        opened.seek(start)
        said, sealed = opened.read(length), opened.read(_OVERHEAD)
    try:
        footer = json.loads(said)
    except ValueError:
        raise SealedError(f"{file.name} has a damaged footer; pull it again") from None
    return footer, said, sealed


class SealedReader(io.RawIOBase):
    """The plain bytes of a sealed file, from any offset; one chunk is held at a time."""

    def __init__(self, file: Path, key: bytes) -> None:
        super().__init__()
        footer, said, sealed = _footer(file)
        unseal(key, sealed, b"footer" + said)
        self.size = int(footer["size"])
        self._chunks = max(1, -(-self.size // _CHUNK))
        self._key = key
        self._raw = file.open("rb")
        self._at = 0
        self._held = (-1, b"")

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Offset in the plain bytes."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move in the plain bytes."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the chunk under the offset reaches."""
        view = memoryview(buffer).cast("B")
        if self._at >= self.size:
            return 0
        chunk, within = divmod(self._at, _CHUNK)
        found = self._chunk(chunk)[within : within + len(view)]
        view[: len(found)] = found
        self._at += len(found)
        return len(found)

    def close(self) -> None:
        """Close the file."""
        self._raw.close()
        super().close()

    def _chunk(self, chunk: int) -> bytes:
        if self._held[0] != chunk:
            last = chunk == self._chunks - 1
            length = self.size - chunk * _CHUNK if last else _CHUNK
            self._raw.seek(len(_MAGIC) + chunk * (_CHUNK + _OVERHEAD))
            sealed = self._raw.read(length + _OVERHEAD)
            self._held = (chunk, unseal(self._key, sealed, _context(chunk, last)))
        return self._held[1]


class SealedFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec ships no types
    """Sealed files under ``sealed://<path without .sealed>``, in clear for whoever holds the keys.

    The suffix is left out so that a reader sees what the bytes are, such as ``.jsonl.zst``.
    """

    protocol = PROTOCOL
    cachable = False  # an instance holds keys

    def __init__(self, key_of: KeyOf) -> None:
        super().__init__()
        self._key_of = key_of

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix(f"{PROTOCOL}://")

    def _open(self, path: str, mode: str = "rb", **_: Any) -> io.BufferedReader:
        if mode != "rb":
            raise SealedError(f"{path}: sealed files are only read here")
        file = sealed_file(path)
        return io.BufferedReader(SealedReader(file, self._key_of(file)), _CHUNK)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name and plain size."""
        plain = self._strip_protocol(path)
        return {
            "name": plain,
            "size": int(read_footer(sealed_file(plain))["size"]),
            "type": "file",
        }

    def modified(self, path: str) -> datetime:
        """When the sealed file was written."""
        return datetime.fromtimestamp(sealed_file(path).stat().st_mtime, UTC)

    def exists(self, path: str, **_: Any) -> bool:
        """Whether the sealed file is there."""
        return sealed_file(path).is_file()

    def glob(self, path: str, **_: Any) -> list[str]:
        """The path itself: files are named one by one."""
        plain = self._strip_protocol(path)
        return [plain] if self.exists(plain) else []


def sealed_file(url: str) -> Path:
    """The file behind a ``sealed://`` address, or behind its path."""
    return Path(url.removeprefix(f"{PROTOCOL}://") + SUFFIX)


def sealed_url(file: Path) -> str:
    """The address of a sealed file."""
    return f"{PROTOCOL}://{str(file).removesuffix(SUFFIX)}"
