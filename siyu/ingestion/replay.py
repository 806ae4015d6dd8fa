"""Replay: rows leave quarantine when what kept them there has been mended.

A mended mapping or contract lands the files of every batch anew, in place of it; a file that was sent
again mended lands beside it, its repeats dropped. Either way a row is counted once. What is sealed in
quarantine is what the earlier mapping made of a record, not the record itself, so it cannot go
through another mapping: a batch whose files are gone is named, with what to do.

What belongs here: landing again, and saying what stays in quarantine and why. What does not: opening
what is sealed (``quarantine``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from siyu.config import Settings
from siyu.ingestion.connectors import CONNECTORS, SourceFile
from siyu.ingestion.deliveries import Deliveries
from siyu.ingestion.landing import LandingReport, land_entity, utc
from siyu.lake import Lake
from siyu.paths import Paths
from siyu.quality import released
from siyu.retailer import Retailer


@dataclass(frozen=True)
class Unreleased:
    """A batch in force that still holds rows in quarantine.

    Attributes:
        batch_id: The batch.
        source: Its input.
        rows: How many it holds: rejected, and not let go since (``siyu.quality.released``).
        gone: Its files that are not there any more, or were overwritten.
    """

    batch_id: str
    source: str
    rows: int
    gone: tuple[str, ...]

    @property
    def reason(self) -> str:
        """Why, and what to do."""
        if not self.gone:
            return (
                f"{self.source}: {self.rows} rows of batch {self.batch_id} are rejected by the present "
                "mapping and contract; see siyu quarantine show, mend the mapping or have the file "
                "sent again mended"
            )
        return (
            f"{self.source}: {self.rows} rows of batch {self.batch_id} cannot be replayed: "
            f"{', '.join(self.gone)} is gone, and what is sealed is no source record; deliver the "
            "file again, under any name, or retract the batch"
        )


@dataclass(frozen=True)
class Replay:
    """What a replay did: reports of the landings, and what stays in quarantine."""

    reports: tuple[LandingReport, ...]
    unreleased: tuple[Unreleased, ...]


def replay(
    settings: Settings, retailer: Retailer, entity: str, run_id: str, now: datetime
) -> Replay:
    """Land an entity again wherever its mapping, contract or files have been mended.

    Args:
        settings: Where things lie.
        retailer: Its inputs and mappings.
        entity: Name of the contract.
        run_id: The run, for the manifests.
        now: The wall clock.

    Raises:
        LandingError: some inputs could not land; those that could did.
    """
    reports = land_entity(settings, retailer, entity, run_id, now)
    return Replay(tuple(reports), tuple(_unreleased(settings, retailer, entity, now)))


def _unreleased(
    settings: Settings, retailer: Retailer, entity: str, now: datetime
) -> Iterator[Unreleased]:
    """Batches in force that hold rows, with what there is no more of their files."""
    paths = Paths.of(settings)
    let_go = dict(zip(*released(paths).to_pydict().values(), strict=True))
    ledger = Lake(paths).ledger(entity)
    held = [
        (manifest, rows)
        for manifest in ledger.active
        if (rows := manifest.quarantined - let_go.get(manifest.batch_id, 0))
    ]
    deliveries = {
        name: Deliveries(ledger, name, _offered(settings, retailer, name, now))
        for name in {manifest.source for manifest, _ in held}
    }
    for manifest, rows in held:
        carrier = deliveries[manifest.source].carrier
        gone = tuple(file.name for file in manifest.files if carrier(manifest, file) is None)
        yield Unreleased(manifest.batch_id, manifest.source, rows, gone)


def _offered(
    settings: Settings, retailer: Retailer, name: str, now: datetime
) -> tuple[SourceFile, ...]:
    """Files of an input; none when the retailer has it no more."""
    if name not in retailer.inputs:
        return ()
    source = retailer.inputs[name]
    return CONNECTORS[source.connector](name, source, settings, utc(now)).files
