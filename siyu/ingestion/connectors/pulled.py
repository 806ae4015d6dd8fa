"""What was pulled from other systems, as files to land.

What belongs here: finding an input's raw files, under the names that manifests give them. What does
not: asking the systems (the modules beside this one), or the files themselves
(``siyu.ingestion.raw``).
"""

from __future__ import annotations

from datetime import datetime

from siyu.config import Settings
from siyu.ingestion.connectors.files import Found, SourceFile
from siyu.ingestion.errors import InputError
from siyu.ingestion.raw import RawStore
from siyu.ingestion.sealed import SealedError
from siyu.paths import Paths
from siyu.retailer import Input


def find_pulled(name: str, source: Input, settings: Settings, _now: datetime) -> Found:
    """Find the raw files of an input.

    Args:
        name: The input.
        source: Its settings.
        settings: Say which retailer's.

    Raises:
        InputError: a raw file is damaged.
    """
    store = RawStore(Paths.of(settings), name)
    # Before the files, so that it never speaks for one that is not among them.
    through = store.complete_through()
    try:
        raw = store.files()
    except SealedError as error:
        raise InputError(
            f"input {name}: {error}; until then restore {store.folder} from a backup, or move the "
            "file away and land without it"
        ) from None
    filesystem = store.filesystem
    files = tuple(
        SourceFile(file.path, file.name, file.sha256, file.bytes, file.url, filesystem)
        for file in raw
    )
    return Found(f"{store.folder} (pulled from {source.connection})", files, (), through)
