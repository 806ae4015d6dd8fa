"""Everything Dagster knows, gathered from ``defs``; what ``workspace.yaml`` points at."""

from __future__ import annotations

import warnings
from pathlib import Path

import dagster as dg

from orchestration.lib.progress import progress_logger
from orchestration.resources import Workspace


@dg.definitions
def defs() -> dg.Definitions:
    """All definitions of the code location."""
    here = Path(__file__).parent
    with warnings.catch_warnings():
        # Beta and preview warnings speak to whoever wrote this code, once.
        for category in (dg.BetaWarning, dg.PreviewWarning):
            warnings.simplefilter("ignore", category)
        # As load_from_defs_folder, less the schemas of every component type installed, which took
        # as long as our own definitions do.
        found = dg.ComponentTree.for_project(here).build_defs(here / "defs")
    return dg.Definitions.merge(
        found,
        dg.Definitions(
            resources={"workspace": Workspace()},
            executor=dg.in_process_executor,
            loggers={"console": progress_logger},
        ),
    )
