"""Every place of a home that may hold somebody, in the order in which they are erased from it.

What belongs here: the list, with what belongs to other stages handed in. What does not: how each lets
go of somebody.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from deltalake import DeltaTable

from siyu.audit import AuditLog
from siyu.config import Settings
from siyu.lake import Lake
from siyu.paths import Paths
from siyu.privacy.delta import purge
from siyu.privacy.erasure import Layer, bury_subject, destroy_values, text_matcher
from siyu.privacy.lake import erase_from_identity, erase_from_lake
from siyu.privacy.records import mask_below
from siyu.privacy.search import Finder
from siyu.privacy.subject import Subject
from siyu.privacy.tables import erase_from_file
from siyu.retailer import Retailer, fill

Names = Callable[[str], bool]

# What siyu does not reach: a person has to.
OUTSIDE: Final = (
    "the retailer's own source systems and files, from which it lands again without them",
    "backups, in which they are until these are thrown away; a restore erases them again (--tombstones)",
    "manual identity rules in the retailer's folder; one that names nobody who is there does nothing",
    "copies that others made of publications or exports",
)


@dataclass(frozen=True)
class Elsewhere:
    """What other stages do for an erasure.

    Attributes:
        raw: Takes texts that name somebody, files by input, and the request out of raw files.
        quarantine: Takes texts that name somebody out of rejected rows.
        aside: The same of values set aside, with where rows came from.
        publications: Remakes the current publication and removes all others.
        models: Flags models that were trained since a day for a request; says which.
    """

    raw: Callable[[Names, Mapping[str, Collection[str]], str], Mapping[str, int]]
    quarantine: Callable[[Names], int]
    aside: Callable[[Names, Mapping[str, Mapping[str, Collection[tuple[str, int]]]]], int]
    publications: Callable[[Callable[[Path, Path], object]], int]
    models: Callable[[date, str], list[str]]


def layers(settings: Settings, retailer: Retailer, elsewhere: Elsewhere) -> list[Layer]:
    """The layers of a home."""
    paths = Paths.of(settings)
    found = [
        Layer("tombstones", partial(bury_subject, paths), lambda: (paths.tombstones,)),
        Layer("raw files", partial(_raw, paths, elsewhere), lambda: (paths.raw,)),
        Layer("quarantine", partial(_quarantine, paths, elsewhere), lambda: (paths.quarantine,)),
        Layer("values set aside", partial(_aside, paths, elsewhere), lambda: (paths.aside,)),
        Layer("lake", lambda subject, _: erase_from_lake(paths, subject), lambda: (paths.lake,)),
        Layer("vault", lambda subject, _: destroy_values(paths, subject), lambda: (paths.vault,)),
        Layer(
            "identity",
            lambda subject, _: erase_from_identity(paths, subject),
            lambda: (paths.identity,),
        ),
        Layer(
            "warehouse",
            partial(_warehouse, paths, retailer),
            lambda: (paths.warehouse.parent, paths.spark_warehouse),
        ),
        Layer("publications", partial(_publications, elsewhere), lambda: (paths.serving,)),
        Layer("models", partial(_models, elsewhere)),
        Layer("audit log", partial(_audit, paths), lambda: (paths.audit,)),
    ]
    searched = {place for layer in found for place in layer.places()}
    rest = partial(_rest, paths, {paths.keys, *searched, *_own_files(settings, retailer)})
    # Last, and over all that is left: so every file of a home is searched, whatever it is.
    return [*found, Layer("records of runs", partial(_records, rest), rest)]


def _raw(
    paths: Paths, elsewhere: Elsewhere, subject: Subject, request_id: str
) -> Mapping[str, Any]:
    return elsewhere.raw(text_matcher(paths, subject), subject.files, request_id)


def _quarantine(
    paths: Paths, elsewhere: Elsewhere, subject: Subject, _request_id: str
) -> Mapping[str, Any]:
    rows = elsewhere.quarantine(text_matcher(paths, subject))
    return {"rows": rows, "files": _purged(paths.quarantine, subject)}


def _aside(
    paths: Paths, elsewhere: Elsewhere, subject: Subject, _request_id: str
) -> Mapping[str, Any]:
    rows = elsewhere.aside(text_matcher(paths, subject), subject.origins)
    return {"rows": rows, "files": _purged(paths.aside, subject)}


def _purged(folder: Path, subject: Subject) -> int:
    if not DeltaTable.is_deltatable(str(folder)):
        return 0
    return purge(folder, Finder.of(subject.texts), subject.texts)


def _warehouse(
    paths: Paths, retailer: Retailer, subject: Subject, _request_id: str
) -> Mapping[str, Any]:
    """The DuckDB file is written anew; Spark's tables are, by the next refresh, from the lake."""
    dropped = paths.spark_warehouse.is_dir()
    shutil.rmtree(paths.spark_warehouse, ignore_errors=True)
    if not paths.warehouse.exists():
        return {"tables_of_spark_dropped": dropped}
    return erase_from_file(
        paths.warehouse,
        paths.warehouse,
        subject,
        lambda connection: Lake(paths).register(connection, retailer),
    )


def _publications(elsewhere: Elsewhere, subject: Subject, _request_id: str) -> Mapping[str, Any]:
    counts: dict[str, int] = {}

    def remake(old: Path, fresh: Path) -> None:
        counts.update(erase_from_file(old, fresh, subject, options="(STORAGE_VERSION 'v1.0.0')"))

    removed = elsewhere.publications(remake)
    return {**counts, "publications_removed": removed}


def _models(elsewhere: Elsewhere, subject: Subject, request_id: str) -> Mapping[str, Any]:
    """Models hold nobody, but may have learned from them."""
    since = datetime.fromisoformat(subject.known_since).date() if subject.known_since else date.min
    return {"trained_on_them": elsewhere.models(since, request_id)}


def _audit(paths: Paths, subject: Subject, request_id: str) -> Mapping[str, Any]:
    """Destroys what opens the commitments to what was ever said of them; the chain stays whole."""
    entry = AuditLog.of(paths).append(
        "erasure",
        request_id,
        {"customers": len(subject.customers), "identifiers": len(subject.identifiers)},
        datetime.now(UTC),
        forgets=subject.names,
    )
    return {"entry": entry.sequence}


def _records(
    rest: Callable[[], tuple[Path, ...]], subject: Subject, _request_id: str
) -> Mapping[str, Any]:
    return mask_below(rest(), subject.texts)


def _rest(paths: Paths, apart: Collection[Path]) -> tuple[Path, ...]:
    """All that lies in a home now, but for some places."""
    children = sorted(paths.root.iterdir()) if paths.root.is_dir() else []
    return (*(child for child in children if child not in apart), paths.mlflow)


def _own_files(settings: Settings, retailer: Retailer) -> set[Path]:
    """Folders of a home that hold the retailer's own files: those that inputs name."""
    root = Paths.of(settings).root
    places = [
        Path(fill(source.location, settings))
        for source in retailer.inputs.values()
        if source.connector == "files"
    ]
    return {root / at.relative_to(root).parts[0] for at in places if at.is_relative_to(root)}
