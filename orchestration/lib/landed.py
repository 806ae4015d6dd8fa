"""What an entity's asset shows of a landing: counts, lateness, and a few rows nobody is known by.

What belongs here: metadata for Dagster. What does not: anything that decides what goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg
import duckdb

from orchestration.lib.landing import Landed
from siyu.contracts import Contract, contract
from siyu.lake import Lake, Manifest, identifier

OUTCOMES = ("rows_read", "rows_in", "accepted", "duplicates", "quarantined", "suppressed")
_BATCHES = 20
_SAMPLE = 5
_HOUR = 3600


def column_schema(entity: Contract) -> dg.TableSchema:
    """The columns of the entity's table, and which are personal."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                column.sql_type,
                description=f"{column.en} | {column.zh}",
                constraints=dg.TableColumnConstraints(nullable=not column.required),
                tags={"pii": column.pii} if column.pii != "none" else {},
            )
            for column in entity.lake_columns
        ]
    )


def landing_metadata(lake: Lake, entity: str, done: Landed) -> dict[str, Any]:
    """What this landing did, and what the lake holds now."""
    reports = done.reports
    landed = [report.manifest for report in reports if report.manifest is not None]
    held = lake.manifests(entity)
    return {
        "dagster/row_count": sum(manifest.accepted for manifest in held),
        **{f"landed_{name}": sum(getattr(m, name) for m in landed) for name in OUTCOMES},
        "landed_bytes": sum(manifest.bytes for manifest in landed),
        "seconds": round(sum(report.seconds for report in reports), 2),
        "outcome": "; ".join(
            f"{report.source}: {report.reason}" if report.source else report.reason
            for report in reports
        ),
        "batches": _batches(held) if held else "none",
        **_drift(landed),
        **_unreleased(done.unreleased),
        **(_seen(lake, contract(entity), landed) if landed else {}),
    }


def _batches(held: Sequence[Manifest]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "source": manifest.source,
                    "batch": manifest.batch_id[:12],
                    "files": len(manifest.files),
                    "bytes": manifest.bytes,
                    **{name: getattr(manifest, name) for name in OUTCOMES},
                    "loaded_at": f"{manifest.loaded_at:%Y-%m-%d %H:%M}",
                    "backfill": manifest.backfill,
                }
            )
            for manifest in held[-_BATCHES:]
        ]
    )


def _unreleased(reasons: Sequence[str]) -> dict[str, Any]:
    """What a replay had to leave in quarantine."""
    said = dg.MetadataValue.md("\n".join(f"- {reason}" for reason in reasons))
    return {"still_in_quarantine": said} if reasons else {}


def _drift(landed: Sequence[Manifest]) -> dict[str, Any]:
    """Source columns that came, went or changed their type with this landing."""
    found = [
        dg.TableRecord(
            {
                "source": manifest.source,
                "column": drift.column,
                "change": drift.change,
                "expected": drift.expected or "",
                "found": drift.found or "",
            }
        )
        for manifest in landed
        for drift in manifest.drift
    ]
    return {"schema_drift": dg.MetadataValue.table(found)} if found else {}


def _seen(lake: Lake, entity: Contract, landed: Sequence[Manifest]) -> dict[str, Any]:
    """How late the new rows came, and a few of them."""
    new = f"FROM ({lake.query(entity.entity)}) WHERE _batch_id IN (SELECT unnest($batches))"
    batches = {"batches": [manifest.batch_id for manifest in landed]}
    with duckdb.connect() as connection:
        late = connection.execute(
            "SELECT approx_quantile(seconds, 0.5), approx_quantile(seconds, 0.95), max(seconds) "
            f"FROM (SELECT epoch(_known_at - _event_at) AS seconds {new})",
            batches,
        ).fetchone()
        shown = _shown_columns(entity)
        sample = connection.execute(
            f"SELECT {', '.join(map(identifier, shown))} {new} LIMIT {_SAMPLE}", batches
        ).fetchall()
    found: dict[str, Any] = {}
    if late is not None and late[0] is not None:
        for name, seconds in zip(("p50", "p95", "max"), late, strict=True):
            found[f"lateness_{name}_hours"] = round(seconds / _HOUR, 2)
    filled = [i for i in range(len(shown)) if any(row[i] is not None for row in sample)]
    if filled:
        found["sample"] = dg.MetadataValue.table(
            [dg.TableRecord({shown[i]: _plain(row[i]) for i in filled}) for row in sample]
        )
    return found


def _shown_columns(entity: Contract) -> list[str]:
    """Columns without a direct identifier, what is made of one, or text that people typed."""
    hidden = {column.name for column in entity.columns if column.pii in ("direct", "free_text")}
    return [
        column.name
        for column in entity.lake_columns
        if column.origin and column.origin not in hidden
    ]


def _plain(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)
