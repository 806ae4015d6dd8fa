"""Dagster's instance: its home under the home folder, its settings from this repository."""

from __future__ import annotations

import os
import shutil

import dagster as dg

from siyu.config import REPO, Settings
from siyu.paths import Paths


def prepare_instance(settings: Settings) -> None:
    """Make the instance's home and point ``DAGSTER_HOME`` at it, unless the user named one."""
    if os.environ.get("DAGSTER_HOME"):
        return
    home = Paths.of(settings).dagster
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(REPO / "dagster.yaml", home / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(home)


def open_instance() -> dg.DagsterInstance:
    """The instance that ``DAGSTER_HOME`` names; a context that closes it on leaving."""
    return dg.DagsterInstance.get()
