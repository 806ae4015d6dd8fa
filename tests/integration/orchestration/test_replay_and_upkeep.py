"""The jobs that let rows out of quarantine and that tidy the lake, and the command that shows why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from rich.console import Console
from small_workspace import open_corner_shop
from typer.testing import CliRunner, Result

from orchestration.definitions import defs
from siyu import cli
from siyu.config import Settings
from siyu.ingestion import land_entity
from siyu.lake import Lake
from siyu.maintenance import FEW
from siyu.ops import Ledger
from siyu.paths import Paths
from siyu.retailer import load_retailer

INPUTS = """
inputs:
  roster: {format: csv, location: "${ROSTER}/*.csv", columns: {id: VARCHAR, phone: VARCHAR, state: VARCHAR}}
"""
MAPPING = "SELECT id AS staff_id, phone, state AS status, _file, _row FROM roster"
MENDED = MAPPING.replace("state AS", "replace(state, 'here', 'active') AS")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shop with one good row of staff and one whose status is unknown."""
    open_corner_shop(tmp_path, monkeypatch, INPUTS, MAPPING)
    (tmp_path / "roster").mkdir()
    (tmp_path / "roster" / "1.csv").write_text(
        "id,phone,state\ns1,13800138000,active\ns2,13900139000,here\n", "utf-8"
    )
    monkeypatch.setenv("ROSTER", str(tmp_path / "roster"))
    monkeypatch.setattr(cli, "_out", Console(width=200))
    return tmp_path


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def paths() -> Paths:
    return Paths.of(Settings.from_env())


@cache
def definitions() -> dg.Definitions:
    """Loaded within a test, as they speak of its retailer; every test has the same one."""
    return defs()


def run(instance: dg.DagsterInstance, job: str) -> dg.ExecuteInProcessResult:
    """Run one of the real jobs; of the lake, only the staff."""
    chosen = None if job == "maintenance" else [dg.AssetKey(["lake", "staff"])]
    return (
        definitions()
        .resolve_job_def(job)
        .execute_in_process(instance=instance, asset_selection=chosen, raise_on_error=False)
    )


def shown(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """What the landing of staff said of itself."""
    (made,) = result.asset_materializations_for_node("lake__staff")
    return {
        name: value if isinstance(value, dg.TableMetadataValue) else value.value
        for name, value in made.metadata.items()
    }


def siyu(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["quarantine", *arguments])


def counts() -> list[tuple[int, int]]:
    return [(m.accepted, m.quarantined) for m in Lake(paths()).manifests("staff")]


def test_a_replay_says_what_stays_in_quarantine_and_what_to_do(
    shop: Path, instance: dg.DagsterInstance
) -> None:
    assert "still_in_quarantine" not in shown(run(instance, "land"))

    said = shown(run(instance, "replay"))["still_in_quarantine"]

    assert "roster: 1 rows of batch" in said
    assert "mend the mapping" in said
    assert counts() == [(1, 1)]


def test_a_replay_lets_rows_out_that_a_mended_mapping_accepts(
    shop: Path, instance: dg.DagsterInstance
) -> None:
    run(instance, "land")
    (shop / "retailers" / "corner_shop" / "staff.sql").write_text(MENDED, "utf-8")

    result = run(instance, "replay")

    assert result.success
    assert "still_in_quarantine" not in shown(result)
    assert counts() == [(2, 0)]


def test_what_a_replay_lands_is_judged_before_anything_reads_it(
    shop: Path, instance: dg.DagsterInstance
) -> None:
    run(instance, "replay")
    ledger = Ledger(paths().ops)

    (block,) = ledger.blocks(["lake.staff"])
    assert "quarantined_share" in {result.rule for result in block.results}


def test_a_file_sent_again_mended_opens_the_gate(shop: Path, instance: dg.DagsterInstance) -> None:
    run(instance, "land")
    assert Ledger(paths().ops).blocks(["lake.staff"])
    (shop / "roster" / "1.csv").write_text("id,phone,state\ns1,,active\ns2,,active\n", "utf-8")

    run(instance, "land")

    assert Ledger(paths().ops).blocks(["lake.staff"]) == []


def test_a_column_that_came_is_shown_with_the_landing(
    shop: Path, instance: dg.DagsterInstance
) -> None:
    run(instance, "land")
    (shop / "roster" / "2.csv").write_text("id,phone,state,floor\ns3,,active,2\n", "utf-8")

    (row,) = shown(run(instance, "land"))["schema_drift"].records

    assert row.data == {
        "source": "roster", "column": "floor", "change": "new", "expected": "", "found": "VARCHAR",
    }  # fmt: skip


def test_upkeep_makes_few_files_of_many_and_no_verdict_is_lost(
    shop: Path, instance: dg.DagsterInstance
) -> None:
    (shop / "roster" / "1.csv").write_text("id,phone,state\ns1,,active\n", "utf-8")
    run(instance, "land")
    settings = Settings.from_env()
    retailer = load_retailer(settings)
    for nth in range(FEW + 1):
        (shop / "roster" / f"more_{nth}.csv").write_text(
            f"id,phone,state\nt{nth},,active\n", "utf-8"
        )
        land_entity(settings, retailer, "staff", "run", datetime.now(UTC))
    run(instance, "land")
    before = Lake(paths()).files("staff")

    result = run(instance, "maintenance")

    assert result.success
    assert len(Lake(paths()).files("staff")) < len(before)
    assert Ledger(paths().ops).blocks(["lake.staff"]) == []


def test_what_is_in_quarantine_is_listed_without_what_is_in_it(
    shop: Path, instance: dg.DagsterInstance
) -> None:
    assert "Nothing has been rejected" in siyu("list").output
    run(instance, "land")

    listed = siyu("list").output

    assert all(word in listed for word in ("staff", "roster", "enum", "status", "open", "50.00%"))
    assert "13900139000" not in listed


def test_a_rejected_record_is_shown_by_file_row_rule_and_value(
    shop: Path, instance: dg.DagsterInstance
) -> None:
    run(instance, "land")
    (batch,) = Lake(paths()).manifests("staff")

    said = siyu("show", batch.batch_id).output

    assert said.strip().endswith("1.csv:2  status is 'here' (enum)")
    assert "13900139000" not in said


def test_a_record_that_cannot_be_read_is_listed_and_shown_without_a_column(
    shop: Path, instance: dg.DagsterInstance
) -> None:
    (shop / "roster" / "2.csv").write_text("id,phone,state\ns3,1,active,more\n", "utf-8")
    run(instance, "land")
    (batch,) = Lake(paths()).manifests("staff")

    for said in (siyu("list").output, siyu("show", batch.batch_id).output):
        assert "malformed_record" in said
        assert "None" not in said


def test_only_opening_it_shows_a_rejected_record_in_clear(
    shop: Path, instance: dg.DagsterInstance
) -> None:
    run(instance, "land")
    (batch,) = Lake(paths()).manifests("staff")

    (record,) = map(json.loads, siyu("open", batch.batch_id).output.splitlines())

    assert record["payload"]["staff_id"] == "s2"


@pytest.mark.parametrize("command", ["show", "open"])
def test_a_batch_without_rejected_rows_is_said_to_have_none(
    shop: Path, instance: dg.DagsterInstance, command: str
) -> None:
    run(instance, "land")

    assert siyu(command, "nobody").exit_code == 2
