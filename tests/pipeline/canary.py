"""Direct identifiers of a few made-up people, to be looked for in whatever siyu wrote.

What belongs here: choosing values that stand for nothing else. What does not: the search
(``siyu.privacy.search``), or where an identifier may be.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

DIRECT = ("mobile", "name", "email", "birthday", "address")
PER_COLUMN = 12
# What is shorter, or a digit over and over, may stand somewhere by chance.
LEAST_BYTES = 9
LEAST_DIFFERENT = 3


def canaries(sources: Path) -> dict[str, str]:
    """A few values of each direct identifier, none of which means anything else, by label."""
    with (sources / "crm" / "members.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    staff = (sources / "wecom" / "staff.json").read_text("utf-8")
    return dict(_labelled(rows, staff))


def _labelled(rows: list[dict[str, str]], staff: str) -> Iterator[tuple[str, str]]:
    for column in DIRECT:
        values = sorted({row[column] for row in rows if row[column]})
        telling = [value for value in values if _telling(value) and value not in staff]
        assert len(telling) >= PER_COLUMN, column
        step = len(telling) // PER_COLUMN
        for number, value in enumerate(telling[::step][:PER_COLUMN]):
            yield f"{column} {number}", value


def _telling(value: str) -> bool:
    return len(value.encode()) >= LEAST_BYTES and len(set(value)) >= LEAST_DIFFERENT
