"""Everything Dagster knows, gathered from ``defs``; what ``workspace.yaml`` points at."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from orchestration.lib.progress import progress_logger
from orchestration.resources import Workspace


@dg.definitions
def defs() -> dg.Definitions:
    """All definitions of the code location."""
    return dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent),
        dg.Definitions(
            resources={"workspace": Workspace()},
            executor=dg.in_process_executor,
            loggers={"console": progress_logger},
        ),
    )
