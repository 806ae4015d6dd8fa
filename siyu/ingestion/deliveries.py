"""Deliveries: which files of an input are yet to land, beside those that have.

A file is told by its name and its bytes. Bytes that landed before are mostly the same delivery again,
and are not read twice; but where rows bear no version, only the order of deliveries says what holds
now, so bytes that come back after others took their place are a delivery of their own.

What belongs here: deciding by names, hashes and manifests. What does not: finding files
(``connectors``), reading them, or telling rows apart (``landing``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal

from siyu.ingestion.connectors.files import SourceFile
from siyu.lake import Ledger, Manifest, ManifestFile

_EARLIEST = datetime.min.replace(tzinfo=UTC)

# ``landed``: this delivery has landed. ``repeat``: its bytes have, and hold still. ``moved``: its
# bytes have, under a name that is gone; others came after them. ``due``: it is to land.
State = Literal["landed", "repeat", "moved", "due"]


@dataclass(frozen=True)
class Due:
    """What is to land.

    Attributes:
        files: To be read, in the order in which they count.
        known_at: When each file's rows became known, by name; absent in a backfill.
        after: The last batch in force, where bytes that stand land once more; else empty.
        repeats: Not to be read: their bytes hold still.
        moved: Not to be read: taken for files that landed under another name.
    """

    files: tuple[SourceFile, ...]
    known_at: Mapping[str, datetime]
    after: str
    repeats: tuple[SourceFile, ...]
    moved: tuple[SourceFile, ...]


class Deliveries:
    """The files of an input beside its batches.

    Args:
        ledger: Of the entity.
        source: The input.
        offered: Its files as they are now.
    """

    def __init__(self, ledger: Ledger, source: str, offered: Sequence[SourceFile]) -> None:
        self._manifests = [m for m in ledger.manifests if m.source == source]
        self._landings = [m for m in self._manifests if m.kind == "landing"]
        self.active = tuple(m for m in ledger.active if m.source == source)
        withheld = {sha256 for name, sha256 in ledger.withheld if name == source}
        self.withheld = tuple(file for file in offered if file.sha256 in withheld)
        self._offered = [file for file in offered if file.sha256 not in withheld]
        self._there = {(file.name, file.sha256): file for file in self._offered}
        # A batch that was taken out may have landed again: its last landing is the one in force.
        self._place = {m.batch_id: place for place, m in enumerate(self._landings)}

    def state(self, file: SourceFile) -> State:
        """What a file is beside the batches in force."""
        landed = self._by_bytes.get(file.sha256)
        if not landed or (file.name, file.sha256) in self._let_in_again:
            return "due"
        named = self._by_name.get(file.name, [])
        if named and named[-1][1] == file.sha256:
            return "landed"
        if named and (named[-1][0] > landed[-1][0] or any(s == file.sha256 for _, s in named)):
            return "due"
        if self._last_superseding < landed[-1][0]:
            return "repeat"
        return "due" if self._has_original(file) else "moved"

    def carrier(self, batch: Manifest, file: ManifestFile) -> SourceFile | None:
        """The file to read a batch's file from again; None where it is gone.

        It may have been renamed. One that was overwritten since, and then came back, is the file of
        the later batch.
        """
        place = self._place[batch.batch_id]
        if (found := self._there.get((file.name, file.sha256))) is not None:
            brought = self._by_name.get(file.name, [])
            overwritten = any(p > place and s != file.sha256 for p, s in brought)
            return None if overwritten else found
        theirs = {name for _, name in self._by_bytes.get(file.sha256, [])}
        renamed = (f for f in self._offered if f.sha256 == file.sha256 and f.name not in theirs)
        return next(renamed, None)

    def can_land_again(self, batch: Manifest) -> bool:
        """Whether all files of a batch in force are there to be read."""
        return all(self.carrier(batch, file) is not None for file in batch.files)

    def due(self, replaced: Collection[Manifest], now: datetime, *, once: bool) -> Due:
        """What is to land now.

        Args:
            replaced: Batches in force whose files land again.
            now: When.
            once: Whether the same bytes may be read but once in a batch.
        """
        again = {
            carrier.name: file.known_at
            for batch in replaced
            for file in batch.files
            if (carrier := self.carrier(batch, file)) is not None
        }
        fresh = [f for f in self._offered if f.name not in again and self.state(f) == "due"]
        moved = [f for f in self._offered if f.name not in again and self.state(f) == "moved"]
        repeats = []
        first = min((file.name for file in fresh), default=None)
        for file in self._offered:
            if file.name in again or self.state(file) != "repeat":
                continue
            # What lands now may take the place of these bytes before they come.
            if first is None or file.name < first:
                repeats.append(file)
            else:
                (fresh if self._has_original(file) else moved).append(file)
        known = again | {file.name: self._known_at(file, now) for file in fresh}
        files: list[SourceFile] = []
        for file in sorted(
            (f for f in self._offered if f.name in known),
            key=lambda f: (known[f.name] or _EARLIEST, f.name),
        ):
            before = files if once else files[-1:]
            if any(
                f.sha256 == file.sha256 and (once or known[f.name] == known[file.name])
                for f in before
            ):
                repeats.append(file)
            else:
                files.append(file)
        stand = {
            file.sha256 for batch in self.active if batch not in replaced for file in batch.files
        }
        return Due(
            tuple(files),
            {f.name: at for f in files if (at := known[f.name]) is not None},
            self.active[-1].batch_id if any(f.sha256 in stand for f in files) else "",
            tuple(repeats),
            tuple(moved),
        )

    def _known_at(self, file: SourceFile, now: datetime) -> datetime | None:
        """When a file's rows became known; None in a backfill.

        One that was let in again after it had been taken out was known before.
        """
        earlier = self._let_in_again.get((file.name, file.sha256))
        if earlier is None and file.sha256 not in self._by_bytes:
            again = self._let_in_again.items()
            earlier = next((said for (_, sha256), said in again if sha256 == file.sha256), None)
        if earlier is not None:
            place, known = earlier
            if not any(p > place for p, _ in self._by_name.get(file.name, [])):
                return known.known_at
        return now if self.active else None

    def _has_original(self, file: SourceFile) -> bool:
        """Whether a file with the same bytes is there under a name under which they landed."""
        landed = self._by_bytes[file.sha256]
        return any((name, file.sha256) in self._there for _, name in landed)

    @cached_property
    def _in_force(self) -> list[tuple[int, Manifest]]:
        return [(self._place[batch.batch_id], batch) for batch in self.active]

    @cached_property
    def _by_bytes(self) -> dict[str, list[tuple[int, str]]]:
        """By hash: places of batches in force that read these bytes, oldest first, and the name."""
        found: dict[str, list[tuple[int, str]]] = {}
        for place, batch in self._in_force:
            for file in batch.files:
                found.setdefault(file.sha256, []).append((place, file.name))
        return found

    @cached_property
    def _by_name(self) -> dict[str, list[tuple[int, str]]]:
        """By name: places of batches that brought a file of this name, oldest first, and its hash.

        Repeats were seen, whatever became of the batch that notes them.
        """
        brought = [(place, file) for place, batch in self._in_force for file in batch.files]
        brought += [(place, file) for place, m in enumerate(self._landings) for file in m.repeats]
        found: dict[str, list[tuple[int, str]]] = {}
        for place, file in sorted(brought, key=lambda said: said[0]):
            found.setdefault(file.name, []).append((place, file.sha256))
        return found

    @cached_property
    def _let_in_again(self) -> dict[tuple[str, str], tuple[int, ManifestFile]]:
        """By name and hash: files of batches that were taken out to land again and have not yet."""
        found: dict[tuple[str, str], tuple[int, ManifestFile]] = {}
        batches = {manifest.batch_id: manifest for manifest in self._landings}
        for manifest in self._manifests:
            if manifest.kind == "landing":
                for file in manifest.files:
                    found.pop((file.name, file.sha256), None)
                continue
            for batch_id in (*manifest.replaces, *manifest.restores):
                for file in batches[batch_id].files:
                    found[file.name, file.sha256] = (self._place[batch_id], file)
        return found

    @cached_property
    def _last_superseding(self) -> int:
        return max((place for place, batch in self._in_force if batch.superseding), default=-1)
