"""The gate of identity: a map that gives a customer too many identifiers stops what reads it."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from small_workspace import failures, open_corner_shop

from orchestration.defs.transform import identity
from orchestration.lib.upstream import IDENTITY_TABLES
from orchestration.resources import Workspace
from siyu.config import Settings
from siyu.identity import Resolution
from siyu.identity.resolution import EVENT_SCHEMA, MAP_SCHEMA
from siyu.ops import Ledger
from siyu.paths import Paths

CAPPED = "identifiers: {card: {type: member_id, cap: 1}, wecom: {type: external_userid}}"


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    shop = open_corner_shop(tmp_path, monkeypatch)
    settings = shop / "retailer.yaml"
    settings.write_text(settings.read_text("utf-8").replace("identifiers: {}", CAPPED), "utf-8")
    monkeypatch.setattr(identity, "tables_above", lambda _: ())
    return Ledger(Paths.of(Settings.from_env()).ops)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def _map(*identifiers: str) -> Resolution:
    """All identifiers as those of one customer."""
    rows = [
        dict.fromkeys(MAP_SCHEMA.names)
        | {"identifier": name, "namespace": name.partition(":")[0], "customer_id": "c1"}
        for name in identifiers
    ]
    event = dict.fromkeys(EVENT_SCHEMA.names) | {"event_id": "e1"}
    return Resolution(
        pa.Table.from_pylist(rows, MAP_SCHEMA),
        pa.Table.from_pylist([event], EVENT_SCHEMA),
        pa.table({}),
        customers=1,
        largest=len(rows),
    )


def _run(
    decided: Resolution, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> dg.ExecuteInProcessResult:
    """The real step on a map as clustering might decide it."""
    monkeypatch.setattr(identity, "_decide", lambda *_: decided)
    workspace = dg.Definitions(
        resources={"workspace": Workspace()}, executor=dg.in_process_executor
    )
    definitions = dg.Definitions.merge(identity.identity(), workspace)
    job = definitions.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, raise_on_error=False)


def test_a_map_above_a_cap_fails_its_gate_and_blocks_both_tables(
    ledger: Ledger, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = _run(_map("card:1", "card:2", "wecom:1", "wecom:2"), instance, monkeypatch)

    (check,) = result.get_asset_check_evaluations()
    assert (check.passed, check.blocking) == (False, True)
    assert "no customer above a cap: found 1" in str(check.description)
    blocks = ledger.blocks(IDENTITY_TABLES)
    assert {block.table for block in blocks} == set(IDENTITY_TABLES)
    for block in blocks:
        assert block.reason == "failed caps:caps_hold"
        assert [result.example_keys for result in block.results] == [("c1",)]


def test_a_map_within_its_caps_passes(
    ledger: Ledger, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = _run(_map("card:1", "wecom:1", "wecom:2"), instance, monkeypatch)

    assert result.success, failures(result)
    (check,) = result.get_asset_check_evaluations()
    assert check.passed
    assert ledger.blocks(IDENTITY_TABLES) == []
