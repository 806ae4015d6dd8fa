"""Members who are alike: proposed where the retailer asks for it, linked where it says so, else left."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import duckdb
import pyarrow as pa
import pytest
from small_workspace import open_corner_shop

from orchestration.defs.transform import identity
from orchestration.resources import Workspace
from siyu.config import Settings
from siyu.identity import IdentityStore, proposals
from siyu.identity.probabilistic import PAIR_SCHEMA
from siyu.paths import Paths
from siyu.retailer import load_retailer
from siyu.vault import Vault
from siyu.warehouse import Warehouse

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[pa.Table]:
    """What was compared; it is found to be alike."""
    seen: list[pa.Table] = []

    def alike(records: pa.Table, _: float) -> pa.Table:
        seen.append(records)
        a, b = sorted(records["record_id"].to_pylist())
        row = {"identifier_a": a, "identifier_b": b, "probability": 0.97}
        return pa.Table.from_pylist([row], PAIR_SCHEMA)

    monkeypatch.setattr(proposals, "likely_pairs", alike)
    return seen


def _customers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: str) -> set[str]:
    """The customers of two members of one name and birthday, under what retailer.yaml says of links."""
    shop = open_corner_shop(tmp_path, monkeypatch, inputs=f"inputs: {{}}\n{links}")
    said = (shop / "retailer.yaml").read_text("utf-8")
    spaces = "identifiers: {card: {type: member_id}, shop: {type: member_id}}"
    (shop / "retailer.yaml").write_text(said.replace("identifiers: {}", spaces), "utf-8")
    paths = Paths.of(Settings.from_env())
    vault = Vault.of(paths)
    tokens = {}
    for kind, value in (("name", "王小明"), ("birth_date", "1990-05-01")):
        (kept,) = vault.tokenise(kind, [value], "CN")  # type: ignore[arg-type]
        vault.store(kind, [kept], NOW)  # type: ignore[arg-type]
        tokens[kind] = kept.token
    paths.warehouse.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(paths.warehouse)) as connection:
        connection.execute("CREATE SCHEMA staging")
        connection.execute(
            "CREATE TABLE staging.stg_members AS SELECT unnest(['card:1', 'shop:9']) AS member_id, "
            f"'{tokens['name']}' AS name_token, '{tokens['birth_date']}' AS birth_date_token, "
            "CAST(NULL AS VARCHAR) AS address_token, TIMESTAMP '2026-01-05' AS _known_at"
        )
        connection.execute(
            "CREATE TABLE staging.stg_identifier AS SELECT member_id AS identifier, "
            "split_part(member_id, ':', 1) AS namespace, _known_at AS first_seen_at, "
            "_known_at AS last_seen_at, _known_at AS known_at FROM staging.stg_members"
        )
        connection.execute(
            "CREATE TABLE staging.stg_identity_edge (identifier_a VARCHAR, identifier_b VARCHAR, "
            "rule_id VARCHAR, priority BIGINT, evidence_count BIGINT, first_seen_at TIMESTAMP, "
            "last_seen_at TIMESTAMP, known_at TIMESTAMP)"
        )
    settings = Settings.from_env()
    workspace = SimpleNamespace(
        retailer=load_retailer(settings), paths=paths, warehouse=Warehouse.of(settings)
    )
    decided, _ = identity._decide(cast("Workspace", workspace), (), "run")
    return set(decided.customer_identifier["customer_id"].to_pylist())


def _proposed() -> list[tuple[str, str, bool]]:
    rows = IdentityStore(Paths.of(Settings.from_env())).proposals().to_pylist()
    return [(row["identifier_a"], row["identifier_b"], row["is_linked"]) for row in rows]


def test_nobody_is_compared_unless_the_retailer_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compared: list[pa.Table]
) -> None:
    assert len(_customers(tmp_path, monkeypatch, "")) == 2
    assert (compared, _proposed()) == ([], [])


def test_a_proposal_links_nobody_until_it_is_allowed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compared: list[pa.Table]
) -> None:
    assert len(_customers(tmp_path, monkeypatch, "probabilistic_links: {}")) == 2
    assert _proposed() == [("card:1", "shop:9", False)]
    assert compared[0]["name"].to_pylist() == ["王小明", "王小明"]


def test_a_link_above_the_retailers_threshold_makes_one_customer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compared: list[pa.Table]
) -> None:
    said = "probabilistic_links: {link_above: 0.95}"

    assert len(_customers(tmp_path, monkeypatch, said)) == 1
    assert _proposed() == [("card:1", "shop:9", True)]
