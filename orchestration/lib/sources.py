"""Which files the retailer's inputs name, for the sensor; reading them is ingestion's."""

from __future__ import annotations

from pathlib import Path

from siyu.config import Settings
from siyu.retailer import Retailer, fill


def source_files(settings: Settings, retailer: Retailer) -> list[Path]:
    """Files that exist now for any input.

    Raises:
        RetailerError: a location names a variable that is not set.
    """
    found: set[Path] = set()
    for source in retailer.inputs.values():
        location = Path(fill(source.location, settings))
        found.update(Path(location.anchor).glob(str(location.relative_to(location.anchor))))
    return sorted(file for file in found if file.is_file())
