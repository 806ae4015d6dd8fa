"""A publication put in the place of all others, when one of them must not be read any more.

What belongs here: making room for it, swapping it in, and removing the rest. What does not: what it
holds (whoever remakes it).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb

from siyu.evidence import record_publication
from siyu.ops import Ledger
from siyu.paths import Paths
from siyu.serving.publication import (
    FILE_NAME,
    current_folder,
    new_folder,
    swapped_in,
    write_parquet,
)

# Makes the database of the new publication from that of the current one.
Remake = Callable[[Path, Path], object]


def replace_publications(paths: Paths, remake: Remake) -> int:
    """Remake the current publication, make that current, and remove every other.

    Killed in between, the next call makes another and removes what this one left.

    Returns:
        How many folders were removed.
    """
    current = current_folder(paths)
    if current is not None:
        fresh = new_folder(paths, current.name.rpartition("_")[0])
        ledger = Ledger(paths.ops)
        published = ledger.rows("SELECT * FROM publication WHERE folder = ?", [str(current)])
        with swapped_in(fresh) as folder:
            old = shutil.copyfile(current / FILE_NAME, folder / "old.duckdb")
            remake(old, folder / FILE_NAME)
            old.unlink()
            with duckdb.connect(str(folder / FILE_NAME), read_only=True) as connection:
                write_parquet(connection, folder)
            for row in published:
                day = date.fromisoformat(row["as_of_date"])
                record_publication(paths, folder, fresh.name, row["run_id"], day)
        for row in published:
            day = date.fromisoformat(row["as_of_date"])
            ledger.record_publication(row["run_id"], day, fresh)
    kept = current_folder(paths)
    gone = [
        folder
        for folder in sorted(paths.serving.glob("*"))
        if folder.is_dir() and not folder.is_symlink() and folder != kept
    ]
    for folder in gone:
        shutil.rmtree(folder)
    return len(gone)
