"""What stands: tables that are as a run would make them, so that it need not.

A version of a table follows from the versions above it, the lake, the day, the settings and the code;
that is its basis, which the ledger keeps with it once it is whole. A step whose tables are of the
basis that it would make them on, blocked by no gate and still in the warehouse reports them as they
stand. Everything else is made, and so is whatever somebody asked for by name: only a refresh leaves
anything standing.

What belongs here: what a version follows from, and whether it stands. What does not: what is noted of
a version (``siyu.ops``, ``siyu.warehouse``), or what a step does instead (the steps).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from orchestration.lib.gates import Evidence
from orchestration.resources import Workspace
from siyu.config import REPO
from siyu.ops import Standing

UNCHANGED_TAG = "siyu/unchanged"
STANDS = {UNCHANGED_TAG: "stands"}
MADE_ANEW = {UNCHANGED_TAG: "made anew"}

# What a table is made by; the lock file says which libraries.
_CODE = ("siyu", "ml", "expectations", "orchestration", "dbt_project")
_KINDS = (".py", ".sql", ".yml", ".yaml")
_LOCK = "uv.lock"

# A table and the partition that is meant, or all of it.
Part = tuple[str, date | None]


def may_stand(tags: Mapping[str, str]) -> bool:
    """Whether a run leaves alone what it would make as it is."""
    return STANDS.items() <= tags.items()


def made_anew(tags: Mapping[str, str]) -> bool:
    """Whether a run makes every table from nothing but the lake, whatever it holds."""
    return MADE_ANEW.items() <= tags.items()


def basis(workspace: Workspace, reads: Iterable[str], **besides: Any) -> str:
    """What a table follows from, in short.

    Args:
        workspace: The run's workspace.
        reads: ``schema.table`` of everything above it.
        **besides: What else it follows from, as plain values: a day, a model.
    """
    settings, retailer = workspace.settings, workspace.retailer
    said = {
        "code": code_sha256(),
        "engine": settings.engine,
        "retailer": retailer.model_dump(mode="json"),
        "entities": sorted(retailer.mappings),
        "lake": workspace.lake.state(),
        "reads": workspace.ledger.newest_versions(reads),
        **besides,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


@cache
def code_sha256(folder: Path = REPO) -> str:
    """Hash of all code that tables are made by, as it was when a process first asked."""
    files = [path for name in _CODE for path in (folder / name).rglob("*") if _is_code(path)]
    content = hashlib.sha256()
    for file in (*sorted(files), folder / _LOCK):
        if file.exists():
            content.update(f"{file.relative_to(folder)}\n".encode())
            content.update(hashlib.sha256(file.read_bytes()).digest())
    return content.hexdigest()


def _is_code(path: Path) -> bool:
    return path.suffix in _KINDS and "target" not in path.parts


def standing(
    workspace: Workspace, parts: Sequence[Part], expected: str
) -> dict[Part, Standing] | None:
    """The versions that stand, when every one does.

    Args:
        workspace: The run's workspace.
        parts: What the step would make.
        expected: The basis that it would make it on.
    """
    found = {part: workspace.ledger.standing(part[0], expected, part[1]) for part in parts}
    kept = {part: version for part, version in found.items() if version is not None}
    if len(kept) < len(found):
        return None
    noted = workspace.warehouse.noted_versions()
    held = all(noted.get(_place(part)) == version.version for part, version in kept.items())
    return kept if held else None


def note(workspace: Workspace, versions: Mapping[Part, str]) -> None:
    """Remember in the warehouse which versions it holds; the last thing that a step does."""
    workspace.warehouse.note_versions({_place(part): name for part, name in versions.items()})


def _place(part: Part) -> tuple[str, str]:
    table, day = part
    return table, day.isoformat() if day else ""


def standing_metadata(version: Standing) -> dict[str, Any]:
    """What a step shows of a table that it left as it was."""
    return {
        "dagster/row_count": version.row_count or 0,
        "standing_since": version.written_at,
        "made_in_run": version.run_id,
    }


def follows(reads: Sequence[str]) -> Evidence:
    """Evidence for a gate: the versions of all that its tables are judged beside, their own too.

    Args:
        reads: ``schema.table`` of each, from the lake down.
    """

    def evidence(workspace: Workspace, connection: duckdb.DuckDBPyConnection, table: str) -> str:
        # A table that is gone has no verdict; this raises.
        connection.execute(f"SELECT 1 FROM {table} LIMIT 0")
        return basis(workspace, reads)

    return evidence
