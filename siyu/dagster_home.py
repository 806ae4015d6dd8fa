"""Dagster's home of a retailer, laid out for whoever starts Dagster.

What belongs here: the folder and its settings, which are this repository's. What does not: Dagster
itself, which only ``orchestration`` imports.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from siyu.config import REPO, Settings
from siyu.paths import Paths


def lay_out(settings: Settings) -> Path:
    """Make the home and copy the repository's ``dagster.yaml`` into it.

    Returns:
        The home, to be named by ``DAGSTER_HOME``.
    """
    home = Paths.of(settings).dagster
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(REPO / "dagster.yaml", home / "dagster.yaml")
    return home
