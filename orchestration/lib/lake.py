"""The lake's tables in the ledger: their version is Delta's own."""

from __future__ import annotations

from orchestration.lib.gates import GATE
from orchestration.resources import Workspace
from siyu.contracts import contracts

ABSENT = "absent"


def lake_tables() -> tuple[str, ...]:
    """``lake.<entity>`` of every contract."""
    return tuple(f"lake.{entity}" for entity in contracts())


def sync_lake_version(workspace: Workspace, entity: str, run_id: str) -> str:
    """Tell the ledger which version of an entity the lake now holds.

    A version that no gate has judged blocks what reads it, whoever wrote it: a run that was killed
    after its commit, or a batch retracted by hand.
    """
    table, version = f"lake.{entity}", _version(workspace, entity)
    workspace.ledger.begin_write(table, run_id, [GATE], version=version)
    rows = sum(manifest.accepted for manifest in workspace.lake.manifests(entity))
    workspace.ledger.end_write(table, version, rows)
    return version


def sync_lake_versions(workspace: Workspace, run_id: str) -> None:
    """Tell the ledger of every entity whose version it does not know."""
    known = workspace.ledger.newest_versions(lake_tables())
    for entity in contracts():
        if known[f"lake.{entity}"] != _version(workspace, entity):
            sync_lake_version(workspace, entity, run_id)


def _version(workspace: Workspace, entity: str) -> str:
    number = workspace.lake.version(entity)
    return ABSENT if number is None else str(number)
