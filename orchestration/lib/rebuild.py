"""Building the warehouse again from nothing but the lake."""

from __future__ import annotations

from collections.abc import Mapping

from siyu.paths import Paths

REBUILDING = {"siyu/rebuild": "true"}


def drop_warehouse_when_rebuilding(paths: Paths, tags: Mapping[str, str]) -> bool:
    """Remove the warehouse file when a run's tags say so; the lake and identity stay.

    Returns:
        Whether it was removed.
    """
    if not REBUILDING.items() <= tags.items():
        return False
    for file in (paths.warehouse, paths.warehouse.with_suffix(".duckdb.wal")):
        file.unlink(missing_ok=True)
    return True
