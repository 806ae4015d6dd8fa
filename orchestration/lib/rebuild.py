"""Building the warehouse again from nothing but the lake."""

from __future__ import annotations

from collections.abc import Mapping

from siyu.config import Settings
from siyu.transform import drop_warehouse

REBUILDING = {"siyu/rebuild": "true"}


def drop_warehouse_when_rebuilding(settings: Settings, tags: Mapping[str, str]) -> bool:
    """Remove the warehouse when a run's tags say so; the lake and identity stay.

    Returns:
        Whether it was removed.
    """
    if not REBUILDING.items() <= tags.items():
        return False
    drop_warehouse(settings)
    return True
