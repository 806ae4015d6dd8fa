"""What the retailer's inputs are to Dagster: which entity reads which, which files wait, what pulls.

What belongs here: names, and looking at folders for the sensor. What does not: reading files, asking
a system, or mapping SQL; all of that is ingestion's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import dagster as dg

from siyu.config import Settings
from siyu.ingestion.connectors.files import is_unfinished, paths_at
from siyu.ingestion.errors import InputError
from siyu.ingestion.mapping import load_mapping
from siyu.ingestion.pull import inputs_of
from siyu.retailer import Input, Retailer, RetailerError, fill

GROUP = "sources"


def source_key(name: str) -> dg.AssetKey:
    """Key of the asset that stands for what was pulled of an input."""
    return dg.AssetKey([GROUP, name])


def source_table(name: str) -> str:
    """What the ledger calls it."""
    return f"{GROUP}.{name}"


def inputs_read(retailer: Retailer) -> dict[str, tuple[str, ...]]:
    """Inputs that each entity's mapping reads, lookups included.

    A broken mapping reads nothing here; landing says what is wrong with it.
    """
    found = {}
    for entity in retailer.mappings:
        try:
            mapping = load_mapping(retailer, entity)
        except InputError:
            continue
        found[entity] = (*mapping.inputs, *mapping.lookups)
    return found


def pulled_keys(retailer: Retailer, connections: Iterable[str]) -> list[dg.AssetKey]:
    """Assets that stand for all that some connections bring."""
    return [source_key(each) for name in connections for each in inputs_of(retailer, name)]


def settled_files(source: Input, settings: Settings, now: datetime) -> list[Path]:
    """Files that exist now for an input and are not still being written.

    Args:
        source: An input without a connection.
        settings: Fills the variables of its location.
        now: The wall clock.

    Raises:
        RetailerError: the location names a variable that is not set.
        OSError: a folder may not be looked into.
    """
    return [
        file
        for file in paths_at(fill(source.location, settings))
        if file.is_file() and not is_unfinished(file, source.settle_seconds, now)
    ]


def fingerprint(files: Sequence[Path]) -> str:
    """Changes when a file is added, removed or written; empty for no file."""
    if not files:
        return ""
    said = hashlib.sha256()
    for file in sorted(files):
        seen = file.stat()
        said.update(f"{file}|{seen.st_size}|{seen.st_mtime_ns}\n".encode())
    return said.hexdigest()[:16]


@dataclass(frozen=True)
class Seen:
    """What lies in the folders of the inputs.

    Attributes:
        fingerprints: Of every input's files, by input.
        files: How many files there are.
        faults: Why an input could not be looked at.
    """

    fingerprints: dict[str, str]
    files: int
    faults: tuple[str, ...]


def look(settings: Settings, retailer: Retailer, now: datetime) -> Seen:
    """Look at the folders of every input that has files of its own."""
    fingerprints: dict[str, str] = {}
    faults: list[str] = []
    count = 0
    for name, source in retailer.inputs.items():
        if source.connection is not None:
            continue
        try:
            files = settled_files(source, settings, now)
            fingerprints[name] = fingerprint(files)
        except RetailerError as error:
            faults.append(f"input {name}: {error}")
        except OSError as error:
            faults.append(f"input {name}: a file or folder cannot be looked at ({error.strerror})")
        else:
            count += len(files)
    return Seen(fingerprints, count, tuple(dict.fromkeys(faults)))
