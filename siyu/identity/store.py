"""The identity map, its events, its figures, its past, refused edges and proposals, as Delta tables.

The map is the state that the next resolution starts from; events and figures are append-only. What
belongs to a decision is written before its map, and events and figures carry a version past the map's,
so that a run killed in between leaves some that the next run recognises as unfinished and replaces. The
past follows from the map and what it was made from, and is written after it: a run that was killed in
between decides again.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake

from siyu.identity.history import PAST_SCHEMA
from siyu.identity.proposals import PROPOSAL_SCHEMA
from siyu.identity.quality import CHANGES, QUALITY_SCHEMA, IdentityQuality
from siyu.identity.resolution import EVENT_SCHEMA, MAP_SCHEMA, REFUSED_SCHEMA, Resolution
from siyu.lake import changed_in
from siyu.paths import Paths

_STORED_EVENTS = EVENT_SCHEMA.append(pa.field("map_version", pa.int64()))
_STORED_QUALITY = QUALITY_SCHEMA.append(pa.field("map_version", pa.int64()))


class IdentityStore:
    """Reads and writes the identity state of one retailer."""

    def __init__(self, paths: Paths) -> None:
        self._map: Path = paths.identity / "customer_identifier"
        self._events: Path = paths.identity / "identity_event"
        self._refused: Path = paths.identity / "identity_refused_edge"
        self._past: Path = paths.identity / "customer_identifier_past"
        self._quality: Path = paths.identity / "identity_quality"
        self._proposals: Path = paths.identity / "identity_proposal"

    def previous(self) -> pa.Table:
        """The map as last decided; empty before the first decision."""
        held = _plain(self._map, MAP_SCHEMA)
        # A map from before merges could be undone.
        place = MAP_SCHEMA.get_field_index("own_customer_id")
        own = pc.coalesce(held["own_customer_id"], held["customer_id"])
        return held.set_column(place, MAP_SCHEMA.field(place), own)

    def refused(self) -> pa.Table:
        """The edges that the last decision refused."""
        return _plain(self._refused, REFUSED_SCHEMA)

    def quality(self) -> pa.Table:
        """Figures of every finished decision, ``QUALITY_SCHEMA``, oldest first."""
        held = _plain(self._quality, _STORED_QUALITY)
        finished = held.filter(pc.less_equal(held["map_version"], self.version()))
        return finished.sort_by("map_version").select(QUALITY_SCHEMA.names)

    def version(self) -> int:
        """Version of the map as last decided, upkeep apart; -1 before the first decision."""
        return _version(self._map)

    def past_version(self) -> int:
        """Version of the past as last written, upkeep apart; -1 before it first was."""
        return _version(self._past)

    def rules_applied(self) -> frozenset[str]:
        """Ids of the events of manual rules that were applied in a finished decision."""
        events = _plain(self._events, _STORED_EVENTS)
        manual = pc.is_in(events["event_type"], pa.array(["manual_link", "manual_unlink"]))
        finished = pc.less_equal(events["map_version"], self.version())
        return frozenset(events.filter(pc.and_(manual, finished))["event_id"].to_pylist())

    def write(self, resolution: Resolution) -> bool:
        """Keep a decision; False when it changes nothing."""
        if self.version() >= 0 and self._holds(resolution):
            return False
        following = self.version() + 1
        self._drop_unfinished(following)
        for folder, rows in (
            (self._events, resolution.events),
            (self._quality, resolution.quality.as_table()),
        ):
            if not len(rows):
                # Would add a column that is new to the log without a file that has it.
                continue
            stamp = pa.array([following] * len(rows), pa.int64())
            stamped = rows.append_column("map_version", stamp)
            write_deltalake(folder, stamped, mode="append", schema_mode="merge")
        for folder, rows in (
            (self._refused, resolution.refused_edges),
            (self._map, resolution.customer_identifier),
        ):
            write_deltalake(folder, rows, mode="overwrite", schema_mode="overwrite")
        return True

    def proposals(self) -> pa.Table:
        """The links by likeness that were last proposed, ``PROPOSAL_SCHEMA``."""
        return _plain(self._proposals, PROPOSAL_SCHEMA)

    def write_proposals(self, proposals: pa.Table) -> None:
        """Keep what is proposed now, in the place of what was (``PROPOSAL_SCHEMA``)."""
        write_deltalake(self._proposals, proposals, mode="overwrite", schema_mode="overwrite")

    def write_past(self, past: pa.Table) -> bool:
        """Keep the past of the map as it follows now (``PAST_SCHEMA``); False when it is as it was."""
        if self.past_version() >= 0 and _plain(self._past, PAST_SCHEMA).equals(past):
            return False
        write_deltalake(self._past, past, mode="overwrite", schema_mode="overwrite")
        return True

    def _holds(self, resolution: Resolution) -> bool:
        return (
            len(resolution.events) == 0
            and self.previous().equals(resolution.customer_identifier)
            and self.refused().equals(resolution.refused_edges)
            and self._measured(resolution.quality)
        )

    def _measured(self, quality: IdentityQuality) -> bool:
        """Whether the figures are those of the last decision, but for what it changed."""
        held = self.quality()
        last = held.slice(max(len(held) - 1, 0)).drop_columns(list(CHANGES))
        return bool(last.equals(quality.as_table().drop_columns(list(CHANGES))))

    def _drop_unfinished(self, following: int) -> None:
        """Remove events and figures of a decision whose map was never written."""
        for folder, schema in ((self._events, _STORED_EVENTS), (self._quality, _STORED_QUALITY)):
            if DeltaTable.is_deltatable(str(folder)):
                DeltaTable(folder).delete(f"map_version >= {following}")
            else:
                write_deltalake(folder, schema.empty_table())


def _plain(folder: Path, schema: pa.Schema) -> pa.Table:
    """A table as it is now; empty where there is none, null in columns that it did not have yet."""
    if not DeltaTable.is_deltatable(str(folder)):
        return schema.empty_table()
    held = pa.table(DeltaTable(folder).to_pyarrow_table())
    return pa.table(
        {
            field.name: held[field.name].cast(field.type)
            if field.name in held.column_names
            else pa.nulls(len(held), field.type)
            for field in schema
        },
        schema,
    )


def _version(folder: Path) -> int:
    return changed_in(DeltaTable(folder)) if DeltaTable.is_deltatable(str(folder)) else -1
