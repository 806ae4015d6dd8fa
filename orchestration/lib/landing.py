"""Landing an entity as a run's tags ask: as ever, or as a replay.

A replay lands the same, and says besides what stays in quarantine and why.

What belongs here: which of the two a run is, and one form for what came of either. What does not:
landing itself (``siyu.ingestion``), or how it is shown (``landed``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestration.resources import Workspace
from siyu.ingestion import LandingReport, land_entity, replay

REPLAYING = {"siyu/replay": "true"}


@dataclass(frozen=True)
class Landed:
    """What a landing did.

    Attributes:
        reports: One for each input.
        unreleased: Of a replay, a sentence for each batch that still holds rows in quarantine.
    """

    reports: Sequence[LandingReport]
    unreleased: Sequence[str] = ()


def land(
    workspace: Workspace, entity: str, run_id: str, tags: Mapping[str, str], now: datetime
) -> Landed:
    """Land what is new or mended of an entity.

    Args:
        workspace: The run's workspace.
        entity: Name of the contract.
        run_id: The run, for the manifests.
        tags: Of the run; they say whether it is a replay.
        now: The wall clock.

    Raises:
        LandingError: some inputs could not land; those that could did.
    """
    if not REPLAYING.items() <= tags.items():
        return Landed(land_entity(workspace.settings, workspace.retailer, entity, run_id, now))
    done = replay(workspace.settings, workspace.retailer, entity, run_id, now)
    return Landed(done.reports, [held.reason for held in done.unreleased])
