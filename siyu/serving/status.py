"""What ran last, what is published, what is blocked and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siyu.ops import Block, Ledger
from siyu.paths import Paths


@dataclass(frozen=True)
class Status:
    """The state of one retailer's pipeline.

    Attributes:
        last_runs: The latest runs, newest first, as ledger rows.
        published: The ledger row of the current publication, or None.
        folder: Folder that ``serving/current`` points at, or None.
        blocks: Tables that stop what reads them.
    """

    last_runs: list[Mapping[str, Any]]
    published: Mapping[str, Any] | None
    folder: Path | None
    blocks: list[Block]


def status(paths: Paths) -> Status:
    """Read the state from the ledger and the publication's symlink; nothing is locked."""
    if not paths.ops.exists():
        return Status([], None, None, [])
    ledger = Ledger(paths.ops)
    link = paths.serving / "current"
    folder = link.resolve() if link.is_symlink() else None
    published = [
        row for row in ledger.rows("SELECT * FROM publication")
        if folder is not None and Path(row["folder"]).resolve() == folder
    ]  # fmt: skip
    return Status(
        last_runs=ledger.rows("SELECT * FROM run ORDER BY started_at DESC LIMIT 5"),
        published=published[0] if published else None,
        folder=folder,
        blocks=ledger.blocks(ledger.all_tables()),
    )
