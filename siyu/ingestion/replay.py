"""Replay: rows leave quarantine when what kept them there has been mended.

A mended mapping or contract lands the files of every batch anew, in place of it; a file that was sent
again mended lands beside it, its repeats dropped. Either way a row is counted once. What is sealed in
quarantine is what the earlier mapping made of a record, not the record itself, so it cannot go
through another mapping: a batch whose files are gone is named, with what to do.

What belongs here: landing again, and saying what stays in quarantine and why. What does not: opening
what is sealed (``quarantine``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from siyu.config import Settings
from siyu.ingestion.connectors import CONNECTORS, SourceFile
from siyu.ingestion.deliveries import Deliveries
from siyu.ingestion.landing import LandingReport, land_entity, utc
from siyu.lake import Lake
from siyu.paths import Paths
from siyu.retailer import Retailer


@dataclass(frozen=True)
class Unreleased:
    """A batch in force that still holds rows in quarantine.

    Attributes:
        batch_id: The batch.
        source: Its input.
        rows: How many were rejected.
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
    ledger = Lake(Paths.of(settings)).ledger(entity)
    held = [manifest for manifest in ledger.active if manifest.quarantined]
    deliveries = {
        name: Deliveries(ledger, name, _offered(settings, retailer, name, now))
        for name in {manifest.source for manifest in held}
    }
    return Replay(
        tuple(reports),
        tuple(
            Unreleased(
                manifest.batch_id,
                manifest.source,
                manifest.quarantined,
                tuple(
                    file.name
                    for file in manifest.files
                    if deliveries[manifest.source].carrier(manifest, file) is None
                ),
            )
            for manifest in held
        ),
    )


def _offered(
    settings: Settings, retailer: Retailer, name: str, now: datetime
) -> tuple[SourceFile, ...]:
    """Files of an input; none when the retailer has it no more."""
    if name not in retailer.inputs:
        return ()
    source = retailer.inputs[name]
    return CONNECTORS[source.connector](name, source, settings, utc(now)).files
