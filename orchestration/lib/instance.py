"""Dagster's instance: its home under the home folder, its settings from this repository."""

from __future__ import annotations

import os

import dagster as dg

from siyu import dagster_home
from siyu.config import Settings


def prepare_instance(settings: Settings) -> None:
    """Make the instance's home and point ``DAGSTER_HOME`` at it, unless the user named one."""
    os.environ["DAGSTER_HOME"] = str(dagster_home.chosen(settings, os.environ))


def open_instance() -> dg.DagsterInstance:
    """The instance that ``DAGSTER_HOME`` names; a context that closes it on leaving."""
    return dg.DagsterInstance.get()
