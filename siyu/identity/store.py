"""The identity map and its events, as two Delta tables.

The map is the state that the next resolution starts from; the events are append-only. Events are
written first and carry a version past the map's, so that a run killed between the two leaves events
that the next run recognises as unfinished and replaces.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from siyu.identity.resolution import EVENT_SCHEMA, MAP_SCHEMA, Resolution
from siyu.lake import changed_in
from siyu.paths import Paths

_STORED_EVENTS = EVENT_SCHEMA.append(pa.field("map_version", pa.int64()))


class IdentityStore:
    """Reads and writes the identity state of one retailer."""

    def __init__(self, paths: Paths) -> None:
        self._map: Path = paths.identity / "customer_identifier"
        self._events: Path = paths.identity / "identity_event"

    def previous(self) -> pa.Table:
        """The map as last decided; empty before the first decision."""
        if not DeltaTable.is_deltatable(str(self._map)):
            return MAP_SCHEMA.empty_table()
        return _plain(DeltaTable(self._map), MAP_SCHEMA)

    def version(self) -> int:
        """Version of the map as last decided, upkeep apart; -1 before the first decision."""
        if not DeltaTable.is_deltatable(str(self._map)):
            return -1
        return changed_in(DeltaTable(self._map))

    def write(self, resolution: Resolution) -> bool:
        """Keep a decision; False when it changes nothing."""
        if self.version() >= 0 and self.previous().equals(resolution.customer_identifier):
            return False
        following = self.version() + 1
        self._drop_unfinished(following)
        stamped = resolution.events.append_column(
            "map_version", pa.array([following] * len(resolution.events), pa.int64())
        )
        write_deltalake(self._events, stamped, mode="append")
        write_deltalake(self._map, resolution.customer_identifier, mode="overwrite")
        return True

    def _drop_unfinished(self, following: int) -> None:
        """Remove events of a decision whose map was never written."""
        if DeltaTable.is_deltatable(str(self._events)):
            DeltaTable(self._events).delete(f"map_version >= {following}")
        else:
            write_deltalake(self._events, _STORED_EVENTS.empty_table())


def _plain(table: DeltaTable, schema: pa.Schema) -> pa.Table:
    return pa.table(table.to_pyarrow_table()).select(schema.names).cast(schema)
