"""Records of an API as raw files: JSON lines, in pieces that a pull can go on from.

What belongs here: gathering records into pieces, and keeping of a listing only what changed. What
does not: where records come from (``wecom``, ``mall``, ``callbacks``).
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from typing import Any, BinaryIO, Final, NamedTuple

from siyu.ingestion.pull import Failed, Piece, SourceError
from siyu.ingestion.raw import Cursor, RawStore, Write

SUFFIX: Final = ".jsonl.gz"
_PIECE_BYTES: Final = 16 << 20  # plain; what is held in memory

Record = Mapping[str, Any]
# What identifies a record of a listing, such as member of staff and contact.
Key = tuple[str, ...]


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Step:
    """Records that were read together.

    Attributes:
        records: In the form they are kept in.
        cursor: Where to go on after them.
        warnings: What a person should know.
        taken: Called once the records are certain to be in the next piece.
    """

    records: Sequence[Record]
    cursor: Cursor
    warnings: tuple[str, ...] = ()
    taken: Callable[[], None] = _nothing


def pieces(
    name: str,
    steps: Iterator[Step],
    state: Callable[[Cursor], Mapping[str, Write]] = lambda _: {},
) -> Iterator[Piece | Failed]:
    """Gather steps into raw files; a break keeps what was read before it.

    A piece is closed only when there is more to write, because a file without records is not
    written: so the last one carries the cursor of the end.

    Args:
        name: The input.
        steps: What is read.
        state: Sealed state to keep beside a piece, given its cursor.
    """
    held: list[bytes] = []
    size = 0
    warnings: Counter[str] = Counter()
    cursor: Cursor | None = None
    failed: Failed | None = None

    def piece(cursor: Cursor) -> Piece:
        said = [text if times == 1 else f"{times} × {text}" for text, times in warnings.items()]
        return Piece(name, SUFFIX, _gzipped(held), cursor, state(cursor), tuple(said))

    try:
        for step in steps:
            if cursor is not None and size >= _PIECE_BYTES and step.records:
                yield piece(cursor)
                held, size, warnings = [], 0, Counter()
            added = [_line(record) for record in step.records]
            held += added
            size += sum(map(len, added))
            warnings.update(step.warnings)
            cursor = step.cursor
            step.taken()
    except SourceError as error:
        failed = Failed(name, error)
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        failed = Failed(name, _unknown_shape(error))
    if cursor is not None:
        yield piece(cursor)
    if failed is not None:
        yield failed


def _unknown_shape(error: Exception) -> SourceError:
    """An answer that is not made as we know it; the error's own text may quote a record."""
    where = extract_tb(error.__traceback__)[-1]
    return SourceError(
        f"an answer has a shape that is not known here ({type(error).__name__} at "
        f"{Path(where.filename).name}:{where.lineno}); what came before is kept; see whether the "
        "system's API has changed, and report this",
        transient=False,
    )


def lines(records: Sequence[Record]) -> Write:
    """What writes records as gzipped JSON lines, the same bytes for the same records."""
    return _gzipped([_line(record) for record in records])


def _gzipped(held: Sequence[bytes]) -> Write:
    def write(out: BinaryIO) -> int:
        with gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as packed:
            packed.writelines(held)
        return len(held)

    return write


def _line(record: Record) -> bytes:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    # Nicknames are cut in the middle of an emoji, which is half a character and no UTF-8.
    return text.encode("utf-8", "replace") + b"\n"


class Sight(NamedTuple):
    """What is remembered of a record.

    Attributes:
        digest: Hash of its content.
        seen: The pass over the listing that saw it last.
        note: What will be wanted of it when it is gone.
    """

    digest: str
    seen: str
    note: Record


class Seen:
    """What was last seen of a listing, so that only what changed is kept, and what went is noticed.

    Args:
        store: Raw files of the input; the state lies beside them, sealed.
    """

    NAME: Final = "seen.json.gz"

    def __init__(self, store: RawStore) -> None:
        self.cursor: Cursor = {}
        self._records: dict[Key, Sight] = {}
        if (url := store.kept(self.NAME)) is not None:
            with store.filesystem.open(url) as opened, gzip.open(opened) as unpacked:
                said = json.load(unpacked)
            self.cursor = said["cursor"]
            self._records = {tuple(key): Sight(*sight) for key, *sight in said["records"]}

    def changed(self, key: Key, digest: str) -> bool:
        """Whether a record is new, or not what it was."""
        sight = self._records.get(key)
        return sight is None or sight.digest != digest

    def __len__(self) -> int:
        return len(self._records)

    def mark(self, sights: Mapping[Key, Sight]) -> None:
        """Remember records as seen."""
        self._records.update(sights)

    def spare(self, first: str, seen: str) -> None:
        """Take records as seen whose key begins so, because they could not be read."""
        self._records.update(
            {
                key: sight._replace(seen=seen)
                for key, sight in self._records.items()
                if key[0] == first
            }
        )

    def gone(self, seen: str) -> dict[Key, Sight]:
        """Records that a pass over the whole listing did not see."""
        return {key: sight for key, sight in self._records.items() if sight.seen != seen}

    def forget(self, keys: Iterable[Key]) -> None:
        """Forget records that are gone."""
        for key in keys:
            del self._records[key]

    def state(self, cursor: Cursor) -> Mapping[str, Write]:
        """What to keep beside a piece with this cursor."""

        def write(out: BinaryIO) -> int:
            records = [[key, *value] for key, value in self._records.items()]
            said = {"cursor": dict(cursor), "records": records}
            with gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as packed:
                packed.write(json.dumps(said).encode())
            return len(records)

        return {self.NAME: write}


def digest(record: Record) -> str:
    """Hash of a record's content."""
    text = json.dumps(record, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
