"""A few hand-written rows in a real lake, so that every rule of the SQL has a row that shows it.

What belongs here: landing rows given as plain values, the same way a batch lands. What does not:
expectations about what the SQL makes of them; those are in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from siyu.config import REPO, Settings
from siyu.contracts import contract
from siyu.identity import IdentityStore, past, resolve
from siyu.identity_rules import IdentityRule
from siyu.lake import Lake, Manifest, commit
from siyu.paths import Paths
from siyu.retailer import Retailer
from siyu.transform import DbtRun, dbt_vars, register_lake, run_dbt
from siyu.warehouse import Warehouse

Row = Mapping[str, Any]

LOADED = datetime.fromisoformat("2026-03-01 01:00")
AS_OF = date(2026, 2, 28)
_TYPES = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "DECIMAL(18,4)": pa.decimal128(18, 4),
    "DECIMAL(18,8)": pa.decimal128(18, 8),
}


def retailer(folder: Path, mappings: Sequence[str]) -> Retailer:
    """Settings of a made-up retailer in Shanghai that maps the entities named."""
    folder.mkdir(parents=True, exist_ok=True)
    for entity in mappings:
        (folder / f"{entity}.sql").touch()
    return Retailer.model_validate(
        {
            "name": "tiny",
            "en": "Tiny",
            "zh": "小店",
            "timezone": "Asia/Shanghai",
            "currency": "CNY",
            "history_from": date(2026, 1, 1),
            "identifiers": {
                "crm": {"type": "member_id"},
                "mall": {"type": "buyer_id"},
                "wx": {"type": "unionid"},
                "mini": {"type": "openid"},
                "wecom": {"type": "external_userid"},
            },
            "inputs": {},
            "models": {"churn": {"horizon_days": 30}, "repurchase": {"horizon_days": 30}},
            "folder": folder,
        }
    )


def at(text: str) -> datetime:
    """A UTC timestamp, such as ``2026-02-01 10:00``."""
    return datetime.fromisoformat(text)


@dataclass
class Shop:
    """A retailer with its lake and warehouse under one folder."""

    settings: Settings
    retailer: Retailer

    @property
    def paths(self) -> Paths:
        return Paths.of(self.settings)

    def land(
        self,
        entity: str,
        rows: Sequence[Row],
        superseding: int = 0,
        loaded_at: datetime = LOADED,
        source: str = "made-up",
    ) -> None:
        """Land rows as one batch; columns left out are null, audit columns get sensible values."""
        found = contract(entity)
        columns = [column for column in found.lake_columns if column.name != "_source"]
        batch = f"{entity}-{len(Lake(self.paths).ledger(entity).manifests)}"
        whole = [
            {"_loaded_at": loaded_at, **_whole(row, found.event_time)}
            | {"_batch_id": batch, "_file": "rows", "_row": number}
            for number, row in enumerate(rows, start=1)
        ]
        schema = pa.schema([(c.name, _TYPES[c.sql_type]) for c in columns])
        known = {c.name for c in columns}
        for row in whole:
            assert set(row) <= known, f"{entity} has no column {set(row) - known}"
        table = pa.Table.from_pylist(whole, schema)
        table = table.append_column("_source", pa.array([source] * len(whole), pa.string()))
        commit(
            Lake(self.paths).folder(entity),
            pa.RecordBatchReader.from_batches(table.schema, table.to_batches()),
            Manifest(
                batch_id=batch,
                entity=entity,
                source=source,
                rows_in=len(whole),
                accepted=len(whole),
                superseding=superseding,
                loaded_at=loaded_at.replace(tzinfo=UTC),
            ),
        )

    def register(self) -> None:
        register_lake(self.settings, self.retailer)

    def variables(self) -> dict[str, Any]:
        return dbt_vars(self.retailer, AS_OF)

    def build(self, *layers: str, variables: dict[str, Any] | None = None) -> DbtRun:
        """Build layers with their tests, in one call of dbt: each call costs a second."""
        chosen = [f"tag:{layer}" for layer in layers]
        given = variables or self.variables()
        return run_dbt(self.settings, ["build", "--select", *chosen], given)

    def refresh(self, junk: Sequence[str] = (), **variables: Any) -> None:
        """Take in what has landed, from staging to unified, without tests."""
        self.register()
        self.make("tag:staging", **variables)
        self.identify(junk)
        self.register()
        self.make("tag:unified", **variables)

    def make(self, *models: str, **variables: Any) -> None:
        """Run the models chosen, without tests, on the lake as it is registered."""
        given = self.variables() | variables
        run = run_dbt(self.settings, ["run", "--select", *models], given)
        assert run.success, [r.message for r in run.results if r.status == "error"]

    def retract(self, entity: str, batch: str) -> None:
        """Take a batch's rows out."""
        lake = Lake(self.paths)
        table = lake.table(entity)
        assert table is not None
        (source,) = {m.source for m in lake.manifests(entity) if m.batch_id == batch}
        commit(
            lake.folder(entity),
            pa.schema(table.schema().to_arrow()).empty_table().to_reader(),
            Manifest(
                batch_id=f"retraction-{batch}", kind="retraction", entity=entity,
                source=source, loaded_at=LOADED.replace(tzinfo=UTC), retracts=(batch,),
            ),
            replacing=f"_source = '{source}' AND _batch_id = '{batch}'",
        )  # fmt: skip

    def identify(self, junk: Sequence[str] = (), rules: Sequence[IdentityRule] = ()) -> None:
        """Resolve identities from what staging says, and let the lake show them."""
        warehouse = Warehouse.of(self.settings)
        store = IdentityStore(self.paths)
        identifiers = warehouse.read("SELECT * FROM staging.stg_identifier")
        edges = warehouse.read("SELECT * FROM staging.stg_identity_edge")
        before, applied = store.previous(), store.rules_applied()
        decided = resolve(identifiers, edges, before, {}, ["crm"], junk, "run-1", rules, applied)
        store.write(decided)
        store.write_past(past(decided.customer_identifier, identifiers, edges, decided.rules))

    def rows(self, sql: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = Warehouse.of(self.settings).read(sql).to_pylist()
        return rows

    def one(self, sql: str) -> Any:
        (row,) = self.rows(sql)
        (value,) = row.values()
        return value


def shop(home: Path, mappings: Sequence[str]) -> Shop:
    settings = Settings(
        home=home, retailer="tiny", retailers=REPO / "retailers", engine="duckdb", as_of=None
    )
    return Shop(settings, retailer(home / "retailers" / "tiny", mappings))


def _whole(row: Row, event_time: str | None) -> dict[str, Any]:
    """A row with its local days, exact money and audit columns filled in."""
    said: dict[str, Any] = {
        name: Decimal(str(value)) if isinstance(value, float) else value
        for name, value in row.items()
    }
    for name, value in list(said.items()):
        if name.endswith("_at") and not name.startswith("_") and value is not None:
            said[f"{name.removesuffix('_at')}_date"] = _local(value)
    event = said.get(event_time) if event_time else None
    if isinstance(event, date) and not isinstance(event, datetime):
        event = datetime.combine(event, time.min)
    said.setdefault("_event_at", event)
    said.setdefault("_event_date", None if event is None else _local(event))
    said.setdefault("_known_at", event or LOADED)
    return said


def _local(moment: datetime) -> date:
    return (moment + timedelta(hours=8)).date()


def order(order_id: str, ordered_at: str, net: float, **more: Any) -> dict[str, Any]:
    """An order of goods worth ``net`` with nothing off."""
    return {
        "order_id": order_id,
        "channel": "store",
        "status": "completed",
        "gross_amount": net,
        "discount_amount": 0.0,
        "net_amount": net,
        "currency": "CNY",
        "ordered_at": at(ordered_at),
        **more,
    }


def line(order_id: str, line_no: int, ordered_at: str, net: float, **more: Any) -> dict[str, Any]:
    """A line worth ``net``: one unit of product p1 unless said otherwise."""
    return {
        "order_id": order_id,
        "line_no": line_no,
        "line_type": "sale" if net >= 0 else "return",
        "product_id": "p1",
        "quantity": 1.0 if net >= 0 else -1.0,
        "gross_amount": net,
        "discount_amount": 0.0,
        "net_amount": net,
        "currency": "CNY",
        "ordered_at": at(ordered_at),
        **more,
    }
