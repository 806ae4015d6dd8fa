"""A small shop that asks one system and has files besides, and the landing steps on it.

What belongs here: the shop, a puller that does what a test says, and running. What does not: real
systems, which ingestion's own tests talk to, or landing what was pulled.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
from small_workspace import CORNER_SHOP

from orchestration.defs.ingest.lake import lake
from orchestration.defs.ingest.sources import sources
from orchestration.lib.gates import GATE
from orchestration.resources import Workspace
from siyu.ingestion.pull import Ask, Failed, Piece
from siyu.ops import Ledger
from siyu.paths import Paths

SETTINGS = (
    CORNER_SHOP
    + """
connections:
  erp: {type: postgres, dsn: "postgresql://reader:${ERP_PASSWORD}@db/erp"}
inputs:
  people: {connection: erp, format: jsonl, location: people, columns: {id: VARCHAR}}
  goods: {connection: erp, format: jsonl, location: goods, columns: {id: VARCHAR}}
  roster: {format: csv, location: "${ROSTER}/*.csv", columns: {id: VARCHAR, phone: VARCHAR}}
  shops: {format: csv, location: "${ROSTER}/shops/*.csv", columns: {id: VARCHAR}}
"""
)
STAFF = """
SELECT id AS staff_id, phone, 'active' AS status, _file, _row FROM roster
UNION ALL BY NAME
SELECT id AS staff_id, 'active' AS status, _file, _row FROM people
"""
STORES = "SELECT id AS store_id, _file, _row FROM shops"
PRODUCTS = "SELECT id AS product_id, _file, _row FROM goods"
PASSWORD = "s3cr3t-of-the-erp"

Answer = Callable[[str], Piece | Failed]


@dataclass
class Shop:
    """The shop in a home of its own.

    Attributes:
        folder: Below it lie its settings, its home and its files.
        answer: What the system gives when it is asked for an input.
        asked: How often it was asked.
    """

    folder: Path
    answer: Answer
    asked: int = 0

    def puller(
        self, connection: Any, asks: Sequence[Ask], now: datetime
    ) -> Iterator[Piece | Failed]:
        self.asked += 1
        for ask in asks:
            yield self.answer(ask.name)

    @property
    def paths(self) -> Paths:
        return Paths(self.folder / "home", "corner_shop")

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.paths.ops)

    def say(self, settings: str) -> None:
        """Write retailer.yaml."""
        (self.folder / "retailers/corner_shop/retailer.yaml").write_text(settings, "utf-8")

    def drop(self, name: str, content: str) -> None:
        """Put a file where the inputs look."""
        file = self.folder / "roster" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, "utf-8")

    def run(
        self, instance: dg.DagsterInstance, *only: str, gates: bool = False
    ) -> dg.ExecuteInProcessResult:
        """Land everything, or only the assets named; without the lake's gates, unless asked for."""
        named = only or ("sources/people", "sources/goods", "lake/staff", "lake/stores")
        keys = [dg.AssetKey.from_user_string(name) for name in named]
        selection: dg.AssetSelection = dg.AssetSelection.assets(*keys)
        if not gates:
            judged = [dg.AssetCheckKey(key, GATE) for key in keys if key.path[0] == "lake"]
            selection -= dg.AssetSelection.checks(*judged)
        definitions = dg.Definitions.merge(
            sources(),
            lake(),
            dg.Definitions(
                jobs=[dg.define_asset_job("land", selection=selection)],
                resources={"workspace": Workspace()},
                executor=dg.in_process_executor,
            ),
        )
        return definitions.resolve_job_def("land").execute_in_process(
            instance=instance, raise_on_error=False
        )


def make_shop(folder: Path) -> Shop:
    """Lay the shop out; its system gives one record of each input."""
    said = folder / "retailers" / "corner_shop"
    said.mkdir(parents=True)
    for entity, sql in (("staff", STAFF), ("stores", STORES), ("products", PRODUCTS)):
        (said / f"{entity}.sql").write_text(sql, "utf-8")
    shop = Shop(folder, lambda name: piece(name))
    shop.say(SETTINGS)
    shop.drop("monday.csv", "id,phone\ns1,13800138000\ns2,\n")
    shop.drop("shops/all.csv", "id\nS001\n")
    return shop


def piece(name: str, line: bytes = b'{"id": "p1"}\n') -> Piece:
    """One raw file of one record."""
    cursor = {"after": 1, "seen": ["a", "b"]}
    return Piece(name, ".jsonl", lambda out: out.write(line) // len(line), cursor)


def checks(result: dg.ExecuteInProcessResult) -> Mapping[str, dg.AssetCheckEvaluation]:
    """What the checks of a run said, by ``schema.table:check``."""
    return {
        f"{'.'.join(each.asset_key.path)}:{each.check_name}": each
        for each in result.get_asset_check_evaluations()
    }


def metadata(result: dg.ExecuteInProcessResult, table: str) -> Mapping[str, Any]:
    """Metadata of the only materialisation of a table, as plain values where they are plain."""
    (found,) = (
        event.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None and ".".join(event.asset_key.path) == table
    )
    return found
