"""A contract that changes its version takes along what has landed, in one commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deltalake.exceptions import DeltaError
from made_up_shop import NOW, Shop, make_shop

import siyu.lake
from siyu.contracts import Contract, contract
from siyu.ingestion import migration
from siyu.ingestion.errors import InputError
from siyu.ingestion.migration import migrate

SQL = "SELECT * EXCLUDE (city), upper(city) AS city, 'branch' AS kind FROM previous"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = make_shop(tmp_path)
    made.input("till", format="csv", location="till/*.csv")
    made.mapping("stores", "SELECT id AS store_id, city, _file, _row FROM till")
    made.write("till/1.csv", "id,city\ns1,Suzhou\ns2,Wuxi\n")
    made.landed("stores")
    yield made


def changed(required: bool = True, default: str | None = None) -> Contract:
    """The contract of stores with one more column, as version 2."""
    before = contract("stores")
    kind = before.columns[1].model_copy(
        update={"name": "kind", "required": required, "default": default, "values": ()}
    )
    said = {**before.model_dump(), "contract_version": 2}
    said["columns"] = [*said["columns"], kind.model_dump()]
    return Contract.model_validate(said)


def write(folder: Path, sql: str = SQL) -> Path:
    (folder / "stores_v1_to_v2.sql").write_text(sql)
    return folder


def held(shop: Shop) -> list[dict[str, Any]]:
    table = shop.lake.table("stores")
    assert table is not None
    rows: list[dict[str, Any]] = table.to_pyarrow_table().to_pylist()
    return sorted(rows, key=lambda row: row["store_id"])


def test_a_migration_rewrites_what_has_landed_and_keeps_its_batches(
    shop: Shop, tmp_path: Path
) -> None:
    before = held(shop)

    said = migrate(shop.lake, changed(), "run", NOW, write(tmp_path))

    assert said is not None
    after = held(shop)
    assert [(row["store_id"], row["city"], row["kind"]) for row in after] == [
        ("s1", "SUZHOU", "branch"), ("s2", "WUXI", "branch"),
    ]  # fmt: skip
    assert [row["_batch_id"] for row in after] == [row["_batch_id"] for row in before]
    (manifest,) = shop.lake.manifests("stores")
    assert (manifest.kind, manifest.contract_version) == ("landing", 2)
    assert manifest.contract_sha256 == changed().sha256


def test_a_migration_that_has_been_done_is_not_done_again(shop: Shop, tmp_path: Path) -> None:
    migrate(shop.lake, changed(), "run", NOW, write(tmp_path))
    version = shop.lake.version("stores")

    assert migrate(shop.lake, changed(), "run", NOW, tmp_path) is None
    assert shop.lake.version("stores") == version


def test_a_column_with_a_default_needs_no_sql(shop: Shop, tmp_path: Path) -> None:
    migrate(shop.lake, changed(default="unknown"), "run", NOW, tmp_path)

    assert {row["kind"] for row in held(shop)} == {"unknown"}


def test_a_required_column_without_a_value_is_refused_and_nothing_changes(
    shop: Shop, tmp_path: Path
) -> None:
    version = shop.lake.version("stores")

    with pytest.raises(InputError, match=r"requires kind.*give the column a default"):
        migrate(shop.lake, changed(), "run", NOW, tmp_path)
    assert shop.lake.version("stores") == version


def test_sql_that_does_not_run_is_named_and_nothing_changes(shop: Shop, tmp_path: Path) -> None:
    version = shop.lake.version("stores")

    with pytest.raises(InputError, match=r"migration stores_v1_to_v2: .*nosuch"):
        migrate(shop.lake, changed(), "run", NOW, write(tmp_path, "SELECT nosuch FROM previous"))
    assert shop.lake.version("stores") == version


@pytest.mark.parametrize("error", [DeltaError("no commit"), OSError(28, "No space left")])
def test_a_migration_that_cannot_be_written_is_an_error_of_the_entity(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(migration, "rewrite", fails)
    with pytest.raises(
        InputError, match=r"migration stores_v1_to_v2: nothing was committed: .*[Nn]o "
    ):
        migrate(shop.lake, changed(), "run", NOW, write(tmp_path))


def test_a_migration_killed_before_its_commit_leaves_the_old_table(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = held(shop)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(migration, "rewrite", killed)
    with pytest.raises(KeyboardInterrupt):
        migrate(shop.lake, changed(), "run", NOW, write(tmp_path))
    assert held(shop) == before

    monkeypatch.setattr(migration, "rewrite", siyu.lake.rewrite)
    assert migrate(shop.lake, changed(), "run", NOW, tmp_path) is not None


def test_the_version_of_a_contract_and_a_default_do_not_land_files_again() -> None:
    before = contract("stores")
    after = before.model_copy(update={"contract_version": 2})

    assert Contract.model_validate(after.model_dump()).sha256 == before.sha256
    assert changed(default="a").sha256 == changed(default="b").sha256
