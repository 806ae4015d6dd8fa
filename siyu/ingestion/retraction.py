"""Taking a batch out of the lake, and letting its files land again.

What belongs here: retraction and restoration of whole batches, each one commit. What does not:
erasing a person, which is not about batches.
"""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa

from siyu.config import Settings
from siyu.contracts import contracts
from siyu.ingestion.connectors import CONNECTORS
from siyu.ingestion.landing import utc
from siyu.lake import Lake, Ledger, Manifest, commit, literal
from siyu.paths import Paths
from siyu.retailer import load_retailer


class BatchError(Exception):
    """A batch cannot be retracted or restored; the message says why and what to do."""


def retract_batch(settings: Settings, batch_id: str, now: datetime) -> Manifest:
    """Take a batch's rows out, in one commit; its files stay out until they change or are restored.

    A later batch of the same input may have been spared rows because this one held them already.
    Such a batch is taken out too and lands again at the next landing, so that nothing is lost.

    Args:
        settings: Where things lie.
        batch_id: A batch in force.
        now: The wall clock.

    Returns:
        The manifest of the retraction.

    Raises:
        BatchError: no batch of that id is in force.
    """
    lake = Lake(Paths.of(settings))
    for entity in contracts():
        ledger = lake.ledger(entity)
        for manifest in ledger.active:
            if manifest.batch_id == batch_id:
                leaning = _leaning(settings, ledger, manifest, now)
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
    """
    lake = Lake(Paths.of(settings))
    for entity in contracts():
        ledger = lake.ledger(entity)
        for manifest in ledger.manifests:
            held = {(manifest.source, file.sha256) for file in manifest.files} & ledger.withheld
            if manifest.batch_id == batch_id and held:
                return _commit(lake, manifest, "restoration", now, restores=(batch_id,))
    raise BatchError(f"no batch {batch_id} is retracted, so there is nothing to restore")


def _leaning(
    settings: Settings, ledger: Ledger, retracted: Manifest, now: datetime
) -> tuple[str, ...]:
    """Later batches of the input that dropped duplicates and whose files can be read again."""
    position = ledger.active.index(retracted)
    later = [
        manifest
        for manifest in ledger.active[position + 1 :]
        if manifest.source == retracted.source and manifest.duplicates
    ]
    source = load_retailer(settings).inputs.get(retracted.source)
    if not later or source is None:
        return ()
    found = CONNECTORS[source.connector](retracted.source, source, settings, utc(now))
    offered = {file.sha256 for file in found.files}
    return tuple(m.batch_id for m in later if all(file.sha256 in offered for file in m.files))


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
