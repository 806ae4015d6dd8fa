"""Pulling inside a run: what came is landed, what failed is named, and the other inputs go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from connected_shop import PASSWORD, SETTINGS, Shop, checks, make_shop, metadata, piece
from small_workspace import failures, materialised

from orchestration.defs.ingest import sources
from siyu.ingestion.pull import Failed, Piece, SourceError
from siyu.lake import Lake

TRIES = 3


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = make_shop(tmp_path)
    monkeypatch.setenv("SIYU_RETAILERS", str(tmp_path / "retailers"))
    monkeypatch.setenv("SIYU_RETAILER", "corner_shop")
    monkeypatch.setenv("SIYU_HOME", str(made.paths.home))
    monkeypatch.setenv("ROSTER", str(tmp_path / "roster"))
    monkeypatch.setenv("ERP_PASSWORD", PASSWORD)
    monkeypatch.setattr(sources, "PULLERS", {"postgres": made.puller})
    # Without a delay; what a pulled file holds is landing's affair.
    monkeypatch.setattr(sources, "RETRIES", dg.RetryPolicy(max_retries=TRIES - 1))
    return made


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def _fails(name: str, *, transient: bool, only: str = "people") -> Piece | Failed:
    if name != only:
        return piece(name)
    return Failed(name, SourceError(f"the system is away, {PASSWORD}", transient=transient))


def _staff(shop: Shop) -> int:
    return sum(manifest.accepted for manifest in Lake(shop.paths).manifests("staff"))


def test_what_was_pulled_is_shown_and_stops_nothing(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    result = shop.run(instance)
    assert result.success, failures(result)
    assert materialised(result) == {"sources.people", "sources.goods", "lake.staff", "lake.stores"}
    shown = metadata(result, "sources.people")
    assert (shown["files"].value, shown["rows"].value) == (1, 1)
    assert shown["bytes"].value == len('{"id": "p1"}\n')
    assert shown["cursor"].value == {"after": 1, "seen": "2 entries"}
    assert checks(result)["sources.people:pulled"].passed
    assert shop.asked == 1


def test_a_system_that_comes_back_is_asked_again(shop: Shop, instance: dg.DagsterInstance) -> None:
    def answer(name: str) -> Piece | Failed:
        return piece(name) if shop.asked == TRIES else _fails(name, transient=True)

    shop.answer = answer
    result = shop.run(instance)
    assert result.success, failures(result)
    assert shop.asked == TRIES
    assert checks(result)["sources.people:pulled"].passed


@pytest.mark.parametrize(("transient", "asked"), [(True, TRIES), (False, 1)])
def test_a_pull_that_fails_lets_other_inputs_land_and_stops_what_reads_it(
    shop: Shop, instance: dg.DagsterInstance, transient: bool, asked: int
) -> None:
    shop.answer = lambda name: _fails(name, transient=transient)
    result = shop.run(instance)

    assert shop.asked == asked
    assert not result.success
    # The files of the same entity are in the lake, though the entity counts as failed.
    assert _staff(shop) == 2
    assert materialised(result) == {"sources.people", "sources.goods", "lake.stores"}
    said = failures(result)
    assert set(said) == {"lake__staff"}
    assert "people could not be pulled: the system is away" in said["lake__staff"]
    found = checks(result)
    assert found["sources.goods:pulled"].passed
    assert not found["sources.people:pulled"].passed
    assert found["sources.people:pulled"].severity is dg.AssetCheckSeverity.ERROR


def test_a_failed_pull_stops_a_later_run_that_does_not_pull_until_a_pull_succeeds(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    shop.answer = lambda name: _fails(name, transient=False)
    shop.run(instance)
    assert not shop.run(instance, "lake/staff").success
    (block,) = shop.ledger.blocks(["sources.people"])
    assert "failed pull:pulled" in block.reason

    shop.answer = piece
    assert shop.run(instance).success
    assert shop.run(instance, "lake/staff").success


def test_an_input_that_was_never_pulled_stops_nothing(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    assert shop.run(instance, "lake/staff").success


def test_a_pull_that_was_killed_stops_what_reads_it(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    shop.ledger.begin_write("sources.people", "killed", ["pull"])
    (said,) = failures(shop.run(instance, "lake/staff")).values()
    assert "sources.people: its last write did not end (materialise it again)" in said


def test_a_connection_that_breaks_as_a_whole_fails_all_its_inputs(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    def answer(name: str) -> Piece | Failed:
        raise SourceError("cannot log in", transient=False)

    shop.answer = answer
    found = checks(shop.run(instance))
    assert "cannot log in" in str(found["sources.people:pulled"].description)
    assert "cannot log in" in str(found["sources.goods:pulled"].description)


def test_a_variable_that_is_not_set_is_named(
    shop: Shop, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ERP_PASSWORD")
    result = shop.run(instance)
    assert shop.asked == 0
    assert "set ERP_PASSWORD" in str(checks(result)["sources.people:pulled"].description)


def test_no_credential_and_no_record_is_in_what_a_run_says(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    def answer(name: str) -> Piece | Failed:
        if name == "people":
            return _fails(name, transient=False)
        raise KeyError("13800138000")

    shop.answer = answer
    result = shop.run(instance)
    said = "\n".join(str(entry) for entry in instance.all_logs(result.run_id))
    assert "stopped by KeyError at test_sources.py" in said
    assert PASSWORD not in said
    assert "13800138000" not in said
    assert "13800138000" not in json.dumps(shop.ledger.rows("SELECT * FROM gate_result"))


# --- what an entity's asset shows --------------------------------------------------------------


def test_an_entity_shows_its_rows_by_outcome_and_a_sample_that_names_nobody(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    result = shop.run(instance)
    shown = metadata(result, "lake.staff")
    assert (shown["landed_rows_read"].value, shown["landed_rows_in"].value) == (3, 3)
    dropped, pulled = "id,phone\ns1,13800138000\ns2,\n", '{"id": "p1"}\n'
    assert shown["landed_bytes"].value == len(dropped) + len(pulled)
    rows = [record.data for record in shown["sample"].records]
    assert {row["staff_id"] for row in rows} == {"s1", "s2", "p1"}
    assert not {column for row in rows for column in row if "phone" in column or "name" in column}
    assert "13800138000" not in str(shown)


def test_a_landing_that_brings_nothing_has_no_sample(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    shop.run(instance)
    assert "sample" not in metadata(shop.run(instance), "lake.staff")


# --- the age of the data -----------------------------------------------------------------------


def _aged(shop: Shop, freshness: str) -> None:
    dated = f"complete_through: 2026-01-31, freshness: {{{freshness}}}, columns: {{id: VARCHAR, p"
    shop.say(SETTINGS.replace("columns: {id: VARCHAR, p", dated))


def test_data_that_is_too_old_stops_what_reads_it_in_this_run_and_in_later_ones(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    _aged(shop, "warn_days: 1, fail_days: 3")
    result = shop.run(instance, gates=True)
    assert not result.success
    check = checks(result)["lake.staff:freshness"]
    assert not check.passed
    assert check.blocking
    assert check.severity is dg.AssetCheckSeverity.ERROR
    assert "roster: complete through 2026-01-31" in str(check.description)
    (block,) = shop.ledger.blocks(["lake.staff"])
    assert "freshness:roster" in block.reason


def test_data_that_is_old_but_not_too_old_only_warns(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    _aged(shop, "warn_days: 1")
    result = shop.run(instance)
    assert result.success, failures(result)
    check = checks(result)["lake.staff:freshness"]
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN


def test_an_input_without_an_age_has_no_check(shop: Shop, instance: dg.DagsterInstance) -> None:
    assert not [name for name in checks(shop.run(instance)) if name.endswith(":freshness")]
