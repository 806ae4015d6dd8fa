"""Text files as UTF-8, whatever they are packed in and written in.

A file that DuckDB can read itself is left to it. Any other is given to it as a file system of ours,
unpacked and transcoded while it is read, so that it is parsed as fast as the others and nothing is
written beside it.

What belongs here: packing, encodings, lines. What does not: what a line holds (``readers``).
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, BinaryIO, Final, Literal, cast

import pyarrow as pa
from fsspec import AbstractFileSystem

from siyu.ingestion.connectors import SourceFile
from siyu.ingestion.errors import InputError
from siyu.vault import VaultError

AUTO: Final = "auto"
UTF_8: Final = "utf-8"

Packing = Literal["", ".gz", ".zst"]

# What reading a file that is cut short, damaged or foreign raises.
UNREADABLE: Final = (OSError, VaultError)

_MAGIC: Final[Mapping[bytes, Packing]] = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}
_CODECS: Final[Mapping[Packing, str]] = {".gz": "gzip", ".zst": "zstd"}
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    # The mark of UTF-32 begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHINESE: Final = "gb18030"
_HEAD: Final = 1 << 16
_CHUNK: Final = 1 << 20
# Of a Chinese text, the share of characters that are in everyday use or punctuation; other bytes
# that happen to be valid GB18030 make rare characters.
_PLAUSIBLE: Final = 0.8
# Of a text in UTF-16 without a mark: digits, commas and Latin letters have a zero for a half.
_ZEROS: Final = 0.2


@dataclass(frozen=True)
class Text:
    """How a text file is read.

    Attributes:
        file: The file.
        packing: What it is packed in, by its content.
        encoding: Python's name of its encoding.
        found: Whether the encoding was found out, not declared.
        certain: Whether the encoding was declared, marked, or found by reading the whole file.
        transcoded_url: Its address in a ``TextFileSystem``; it does not end as packed files do.
        marked: Whether it begins with a byte order mark that DuckDB would take for text.
        size: Bytes as UTF-8, where it has been measured.
    """

    file: SourceFile
    packing: Packing
    encoding: str
    found: bool
    certain: bool
    transcoded_url: str
    marked: bool = False
    size: int | None = None

    @property
    def is_native(self) -> bool:
        """Whether DuckDB can open the file itself."""
        named = next((suffix for suffix in _CODECS if self.file.url.endswith(suffix)), "")
        return self.encoding == UTF_8 and self.packing == named and not self.marked

    @property
    def url(self) -> str:
        """What DuckDB opens."""
        return self.file.url if self.is_native else self.transcoded_url

    @property
    def note(self) -> str:
        """What a person should know of how it is read; empty when it is as was to be expected."""
        if self.encoding == UTF_8 or not self.found:
            return ""
        return f"{self.file.name} was found to be {self.encoding}, and read as that"


def look(name: str, file: SourceFile, declared: str, bears_mark: bool) -> Text:
    """Find out how a file is to be read, from its first bytes; a mark there comes before all else.

    Args:
        name: The input.
        file: The file.
        declared: Its encoding as retailer.yaml has it, or ``auto``.
        bears_mark: Whether DuckDB's reader of its format skips a byte order mark.

    Raises:
        InputError: there is no such encoding.
        OSError: it cannot be opened, or is damaged; likewise the others of ``UNREADABLE``.
    """
    wanted = _normal(name, declared)
    packing = _packing(file)
    with _unpacked(file, packing) as opened:
        head = opened.read(_HEAD)
    mark = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), "")
    encoding = mark or (_guessed(head) if wanted == AUTO else wanted)
    text = Text(
        file, packing, encoding, found=encoding != wanted, certain=bool(mark) or wanted != AUTO,
        transcoded_url=f"{protocol(name)}://{file.url}.text", marked=bool(mark) and not bears_mark,
    )  # fmt: skip
    return text if encoding == UTF_8 else settled(text)


def settled(text: Text) -> Text:
    """The same, its encoding found by reading the whole file where it was a guess."""
    if text.certain or text.encoding not in (UTF_8, _CHINESE):
        return replace(text, certain=True)
    encoding = _CHINESE if _is_chinese(text.file, text.packing) else UTF_8
    return replace(text, encoding=encoding, certain=True)


def measured(text: Text) -> Text | None:
    """The same with its size, where DuckDB needs it; None when it is not in its encoding.

    Raises:
        OSError: the file is damaged; likewise the others of ``UNREADABLE``.
    """
    if text.is_native or text.size is not None:
        return text
    try:
        return replace(text, size=sum(map(len, _utf8_chunks(text))))
    except UnicodeDecodeError:
        return None


def lines(text: Text) -> Iterator[str | bytes]:
    """Lines with their ends; one that is not in the file's encoding comes as bytes.

    Raises:
        OSError: the file is damaged; likewise the others of ``UNREADABLE``.
    """
    with characters(text) as opened:
        for line in opened:
            yield line if is_sound(text, line) else line.encode(UTF_8, "surrogateescape")


def is_sound(text: Text, said: str) -> bool:
    """Whether all of what ``characters`` gave is in the file's encoding."""
    broken = "\ufffd" if _is_wide(text.encoding) else "[\ud800-\udfff]"
    return said.isascii() or not re.search(broken, said)


def _is_wide(encoding: str) -> bool:
    """Whether all characters take several bytes."""
    return encoding.startswith(("utf-16", "utf-32"))


def characters(text: Text) -> io.TextIOWrapper:
    """The text without its mark; bytes that are not in its encoding come as lone surrogates.

    In UTF-16 and UTF-32, where single bytes cannot be told apart, they come as U+FFFD.
    """
    opened = _unpacked(text.file, text.packing)
    errors = "replace" if _is_wide(text.encoding) else "surrogateescape"
    encoding = "utf-8-sig" if text.encoding == UTF_8 else text.encoding
    return io.TextIOWrapper(opened, encoding, errors, newline="")


def protocol(name: str) -> str:
    """What the addresses of an input's texts begin with."""
    return f"text-{name.replace('_', '-')}"


def _normal(name: str, declared: str) -> str:
    if declared == AUTO:
        return AUTO
    try:
        encoding = codecs.lookup(declared).name
        "".encode(encoding)
    except LookupError:
        raise InputError(
            f"input {name}: unknown encoding {declared}; say one of auto, utf-8, gb18030, utf-16, "
            "or another that Python knows"
        ) from None
    # Whatever calls itself GBK or GB2312 may hold a character of the larger set.
    if encoding in ("gbk", "gb2312"):
        return _CHINESE
    return UTF_8 if encoding == "utf-8-sig" else encoding


def _packing(file: SourceFile) -> Packing:
    with file.open() as opened:
        head = opened.read(4)
    return next((packing for magic, packing in _MAGIC.items() if head.startswith(magic)), "")


def _unpacked(file: SourceFile, packing: Packing) -> BinaryIO:
    if not packing:
        return file.open()
    unpacking = pa.CompressedInputStream(file.open(), _CODECS[packing])
    return cast(BinaryIO, io.BufferedReader(unpacking, _CHUNK))


def _guessed(head: bytes) -> str:
    """What a text without a mark may be in, by how it begins."""
    zeros = [half.count(0) / max(len(half), 1) for half in (head[::2], head[1::2])]
    if max(zeros) > _ZEROS and min(zeros) < _ZEROS / 10:
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    try:
        codecs.getincrementaldecoder(UTF_8)().decode(head)
    except UnicodeDecodeError:
        return _CHINESE
    return UTF_8


@lru_cache(maxsize=4096)  # whatever has been found of a file holds for its bytes
def _is_chinese(file: SourceFile, packing: Packing) -> bool:
    """Whether a text is GB18030 rather than UTF-8 with broken lines."""
    sound = broken = 0
    with _unpacked(file, packing) as opened:
        for line in opened:
            if line.isascii():
                continue
            try:
                line.decode(UTF_8)
                sound += 1
            except UnicodeDecodeError:
                broken += 1
    if broken <= sound:
        return False
    decoder = codecs.getincrementaldecoder(_CHINESE)()
    foreign = common = 0
    with _unpacked(file, packing) as opened:
        try:
            while chunk := opened.read(_CHUNK):
                said = decoder.decode(chunk)
                foreign += len(said) - len(said.encode("ascii", "ignore"))
                common += len(_everyday().findall(said))
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return common >= foreign * _PLAUSIBLE


@cache
def _everyday() -> re.Pattern[str]:
    """Finds the characters of GB 2312: punctuation, and 6,763 Chinese ones."""
    high = [*range(0xA1, 0xA4), *range(0xB0, 0xF8)]
    pairs = (bytes((first, last)) for first in high for last in range(0xA1, 0xFF))
    return re.compile(f"[{''.join(pair.decode('gb2312', 'ignore') for pair in pairs)}]")


def _utf8_chunks(text: Text) -> Iterator[bytes]:
    """The text as UTF-8 without its mark.

    Raises:
        UnicodeDecodeError: it is not in its encoding.
    """
    decoder = codecs.getincrementaldecoder(text.encoding)()
    is_first = True
    with _unpacked(text.file, text.packing) as opened:
        while True:
            chunk = opened.read(_CHUNK)
            said = decoder.decode(chunk, final=not chunk)
            if is_first and said:
                said, is_first = said.removeprefix("\ufeff"), False
            if said:
                yield said.encode(UTF_8)
            if not chunk:
                return


class TextFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec ships no types
    """Texts of an input, unpacked and in UTF-8; their sizes have been measured."""

    cachable = False  # an instance holds a list of files

    def __init__(self, name: str, texts: Sequence[Text]) -> None:
        super().__init__()
        self.protocol = protocol(name)
        self._texts = {text.transcoded_url: text for text in texts}

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path

    def _open(self, path: str, **_: Any) -> io.BufferedReader:
        return io.BufferedReader(_Utf8Reader(self._texts[path]), _CHUNK)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name and size in UTF-8."""
        return {"name": path, "size": self._texts[path].size, "type": "file"}

    def exists(self, path: str, **_: Any) -> bool:
        """Whether it is one of the files."""
        return path in self._texts

    def glob(self, path: str, **_: Any) -> list[str]:
        """The path itself: files are named one by one."""
        return [path] if self.exists(path) else []


class _Utf8Reader(io.RawIOBase):
    """A text as UTF-8; to go back it begins anew."""

    def __init__(self, text: Text) -> None:
        super().__init__()
        self._text = text
        self._begin()

    def _begin(self) -> None:
        self._chunks = _utf8_chunks(self._text)
        self._held = memoryview(b"")
        self._at = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always, at the cost of reading what lies before."""
        return True

    def tell(self) -> int:
        """Offset in UTF-8."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; never past the end."""
        size = self._text.size or 0
        target = min(
            offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: size}[whence], size
        )
        if target < self._at:
            self._begin()
        while self._at < target:
            self._take(target - self._at)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as what is transcoded reaches."""
        view = memoryview(buffer).cast("B")
        found = self._take(len(view))
        view[: len(found)] = found
        return len(found)

    def _take(self, most: int) -> memoryview:
        if not self._held:
            self._held = memoryview(next(self._chunks, b""))
        found, self._held = self._held[:most], self._held[most:]
        self._at += len(found)
        return found
