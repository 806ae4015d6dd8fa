"""Dagster's home of a retailer, laid out for whoever starts Dagster.

What belongs here: the folder and its settings, which are this repository's. What does not: Dagster
itself, which only ``orchestration`` imports.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from siyu.config import REPO, Settings
from siyu.paths import Paths


def chosen(settings: Settings, env: Mapping[str, str]) -> Path:
    """The home to use: the one that ``DAGSTER_HOME`` names, else the retailer's, laid out."""
    named = env.get("DAGSTER_HOME")
    return Path(named) if named else lay_out(settings)


def lay_out(settings: Settings) -> Path:
    """Make the home and copy the repository's ``dagster.yaml`` into it.

    Returns:
        The home, to be named by ``DAGSTER_HOME``.
    """
    home = Paths.of(settings).dagster
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(REPO / "dagster.yaml", home / "dagster.yaml")
    return home
