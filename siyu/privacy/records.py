"""Taking people out of what siyu, Dagster and MLflow note of their own work.

Keys of example rows, a few rows shown with a landing, words of a message: a name in them becomes a mask,
and what it is in stays. SQLite overwrites what it changes and is vacuumed, so that no freed page is left.

What belongs here: SQLite files and text files. What does not: tables of people (``siyu.privacy.tables``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from siyu.lake import identifier
from siyu.privacy.delta import MASK
from siyu.privacy.search import Finder, sqlite_tables
from siyu.privacy.tables import masked_text

_SQLITE: Final = (".sqlite3", ".db")
_BESIDE: Final = ("-wal", "-shm", "-journal")


def mask_below(places: Collection[Path], names: Collection[str]) -> Mapping[str, int]:
    """Mask names in every SQLite and text file among some files and below some folders.

    Returns:
        How many files were changed.

    Raises:
        UnicodeDecodeError: a name is in a file that is no text and that nothing else sees to.
    """
    finder, found = Finder({name: name for name in names}), dict[Path, set[str]]()
    for find in (find for place in places for find in finder.within(place)):
        # What SQLite keeps beside a file goes with it.
        found.setdefault(_whole(find.file), set()).add(find.label)
    counts = {"databases": 0, "texts": 0}
    for file, held in sorted(found.items()):
        if file.suffix in _SQLITE:
            mask_sqlite(file, held)
            counts["databases"] += 1
        else:
            partial = file.with_name(f".{file.name}.partial")
            partial.write_text(masked_text(file.read_text("utf-8"), held), "utf-8")
            partial.replace(file)
            counts["texts"] += 1
    return counts


def _whole(file: Path) -> Path:
    beside = next((suffix for suffix in _BESIDE if file.name.endswith(suffix)), "")
    return file.with_name(file.name.removesuffix(beside))


def mask_sqlite(file: Path, names: Collection[str]) -> int:
    """Mask names in every text of a SQLite file, and leave nothing of them in its free pages.

    Returns:
        How many values were changed.
    """
    changed = 0
    with closing(sqlite3.connect(file, timeout=60)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        with connection:
            for table, columns in sqlite_tables(connection).items():
                for column in columns:
                    name = identifier(column)
                    for text in sorted(names, key=len, reverse=True):
                        changed += connection.execute(
                            f"UPDATE {identifier(table)} SET {name} = replace({name}, ?, ?) "
                            f"WHERE typeof({name}) = 'text' AND instr({name}, ?) > 0",
                            (text, MASK, text),
                        ).rowcount
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return changed
