"""Taking a batch out of the lake, and letting its files land again.

What belongs here: retraction and restoration of whole batches, each one commit. What does not:
erasing a person, which is not about batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pyarrow as pa
from deltalake.exceptions import DeltaError

from siyu.config import Settings
from siyu.contracts import contracts
from siyu.ingestion.connectors import CONNECTORS, SourceFile
from siyu.ingestion.deliveries import Deliveries
from siyu.ingestion.errors import InputError, uncommitted
from siyu.ingestion.landing import utc
from siyu.lake import Lake, Ledger, Manifest, commit, literal
from siyu.paths import Paths
from siyu.retailer import load_retailer
from siyu.warehouse import writer_lock


class BatchError(Exception):
    """A batch cannot be retracted or restored; the message says why and what to do."""


def retract_batch(
    settings: Settings, batch_id: str, now: datetime, *, force: bool = False
) -> Manifest:
    """Take a batch's rows out, in one commit; its files stay out until they change or are restored.

    A later batch of the same input may have been spared rows because this one held them already.
    Such a batch is taken out too and lands again at the next landing, so that nothing is lost.

    Args:
        settings: Where things lie.
        batch_id: A batch in force.
        now: The wall clock.
        force: Retract also where a later batch cannot land again, and do without the rows that it
            was spared.

    Returns:
        The manifest of the retraction; ``replaces`` names the later batches.

    Raises:
        BatchError: no batch of that id is in force, or rows would be lost.
        WarehouseBusy: a run is writing.
    """
    with _writing(settings) as lake:
        for entity in contracts():
            ledger = lake.ledger(entity)
            for manifest in ledger.active:
                if manifest.batch_id == batch_id:
                    leaning = _leaning(settings, ledger, manifest, now, force=force)
                    return _commit(
                        lake, manifest, "retraction", now, retracts=(batch_id,), replaces=leaning
                    )
    raise BatchError(
        f"no batch {batch_id} is in force; siyu batch list <entity> shows those that are"
    )


def restore_batch(settings: Settings, batch_id: str, now: datetime) -> Manifest:
    """Let the files of a retracted batch land again, at the next landing.

    Args:
        settings: Where things lie.
        batch_id: A retracted batch.
        now: The wall clock.

    Returns:
        The manifest of the restoration.

    Raises:
        BatchError: no batch of that id is retracted.
        WarehouseBusy: a run is writing.
    """
    with _writing(settings) as lake:
        for entity in contracts():
            ledger = lake.ledger(entity)
            for manifest in ledger.manifests:
                held = {(manifest.source, file.sha256) for file in manifest.files} & ledger.withheld
                if manifest.batch_id == batch_id and held:
                    return _commit(lake, manifest, "restoration", now, restores=(batch_id,))
    raise BatchError(f"no batch {batch_id} is retracted, so there is nothing to restore")


@contextmanager
def _writing(settings: Settings) -> Iterator[Lake]:
    """The lake, to be written by nobody else meanwhile.

    Raises:
        WarehouseBusy: a run is writing.
        BatchError: a commit did not come about.
    """
    paths = Paths.of(settings)
    with writer_lock(paths, timeout=0):
        try:
            yield Lake(paths)
        except DeltaError as error:
            raise BatchError(f"nothing was committed: {uncommitted(error)}") from None


def _leaning(
    settings: Settings, ledger: Ledger, retracted: Manifest, now: datetime, *, force: bool
) -> tuple[str, ...]:
    """Later batches of the input that dropped duplicates, to be landed again.

    Raises:
        BatchError: one of them cannot be, for its files are gone; ``force`` leaves it as it is.
    """
    later = [
        manifest
        for manifest in ledger.active[ledger.active.index(retracted) + 1 :]
        if manifest.source == retracted.source and manifest.duplicates
    ]
    if not later:
        return ()
    offered = _offered(settings, retracted.source, now)
    deliveries = Deliveries(ledger, retracted.source, offered)
    again = [manifest for manifest in later if deliveries.can_land_again(manifest)]
    stuck = [manifest for manifest in later if manifest not in again]
    if stuck and not force:
        named = "; ".join(
            f"{manifest.batch_id} ({manifest.duplicates:,} rows dropped; gone: "
            f"{', '.join(f.name for f in manifest.files if not deliveries.carrier(manifest, f))})"
            for manifest in stuck
        )
        raise BatchError(
            f"batch {retracted.batch_id}: later batches of {retracted.source} dropped rows as "
            f"repeats, maybe of its own, and cannot land again: {named}; put their files back, or "
            "retract with --force and do without these rows"
        )
    return tuple(manifest.batch_id for manifest in again)


def _offered(settings: Settings, name: str, now: datetime) -> tuple[SourceFile, ...]:
    """Files of an input; none when the retailer has it no more.

    Raises:
        BatchError: they cannot be looked at.
    """
    source = load_retailer(settings).inputs.get(name)
    if source is None:
        return ()
    try:
        return CONNECTORS[source.connector](name, source, settings, utc(now)).files
    except InputError as error:
        raise BatchError(f"{error}; then retract again") from None


def _commit(
    lake: Lake,
    batch: Manifest,
    kind: str,
    now: datetime,
    *,
    retracts: tuple[str, ...] = (),
    replaces: tuple[str, ...] = (),
    restores: tuple[str, ...] = (),
) -> Manifest:
    said = Manifest.model_validate(
        {
            "batch_id": f"{kind}-{batch.batch_id}",
            "kind": kind,
            "entity": batch.entity,
            "source": batch.source,
            "loaded_at": utc(now),
            "retracts": retracts,
            "replaces": replaces,
            "restores": restores,
        }
    )
    table = lake.table(batch.entity)
    if table is None:
        raise BatchError(f"{lake.folder(batch.entity)}: the table is gone")
    nothing = pa.schema(table.schema().to_arrow()).empty_table().to_reader()
    out = (*retracts, *replaces)
    batches = ", ".join(map(literal, out))
    commit(
        lake.folder(batch.entity),
        nothing,
        said,
        replacing=f"_source = {literal(batch.source)} AND _batch_id IN ({batches})"
        if out
        else None,
    )
    return said
