"""The gate of identity: a map that gives a customer too many identifiers stops what reads it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from small_workspace import failures, open_corner_shop

from orchestration.defs.transform import identity
from orchestration.lib.upstream import IDENTITY_TABLES
from orchestration.resources import Workspace
from siyu import identity_rules
from siyu.config import Settings
from siyu.identity import IdentityStore, Resolution
from siyu.identity.history import PAST_SCHEMA
from siyu.identity.quality import NOTHING
from siyu.identity.resolution import EVENT_SCHEMA, MAP_SCHEMA, REFUSED_SCHEMA
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
        REFUSED_SCHEMA.empty_table(),
        lambda: NOTHING,
    )


def _run(
    decided: Resolution, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> dg.ExecuteInProcessResult:
    """The real step on a map as clustering might decide it."""
    monkeypatch.setattr(identity, "_decide", lambda *_: (decided, PAST_SCHEMA.empty_table()))
    workspace = dg.Definitions(
        resources={"workspace": Workspace()}, executor=dg.in_process_executor
    )
    definitions = dg.Definitions.merge(identity.identity(), workspace)
    job = definitions.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, raise_on_error=False)


@pytest.mark.parametrize(
    "identifiers",
    [
        ("card:1", "card:2", "wecom:1", "wecom:2"),
        ("phone:a", "phone:b", "phone:c", "phone:d"),
        tuple(f"wecom:{number}" for number in range(31)),
    ],
    ids=["of a namespace", "of phones", "in all"],
)
def test_a_map_above_a_cap_fails_its_gate_and_blocks_every_table(
    identifiers: tuple[str, ...],
    ledger: Ledger,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = _run(_map(*identifiers), instance, monkeypatch)

    (check,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "caps"]
    assert (check.passed, check.blocking) == (False, True)
    assert "no customer above a cap: found 1" in str(check.description)
    blocks = ledger.blocks(IDENTITY_TABLES)
    assert {block.table for block in blocks} == set(IDENTITY_TABLES)
    for block in blocks:
        assert block.reason == "failed caps:caps_hold"
        assert [result.example_keys for result in block.results if result.outcome == "failed"] == [
            ("c1",)
        ]


def test_a_map_within_its_caps_passes(
    ledger: Ledger, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = _run(_map("card:1", "wecom:1", "wecom:2"), instance, monkeypatch)

    assert result.success, failures(result)
    assert all(check.passed for check in result.get_asset_check_evaluations())
    assert ledger.blocks(IDENTITY_TABLES) == []


def _rules(tmp_path: Path, *rules: str) -> None:
    """The corner shop's manual rules."""
    lines = [",".join(identity_rules.COLUMNS), *(f"{rule},zhang,2026-03-01,seen" for rule in rules)]
    file = tmp_path / "retailers" / "corner_shop" / identity_rules.FILE
    file.write_text("\n".join(lines), "utf-8")


def test_what_people_linked_may_be_above_a_cap(
    tmp_path: Path,
    ledger: Ledger,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _rules(tmp_path, "link,card:1,card:2")
    result = _run(_map("card:1", "card:2", "wecom:1"), instance, monkeypatch)

    assert result.success, failures(result)
    assert ledger.blocks(IDENTITY_TABLES) == []


def test_a_map_that_joins_what_people_set_apart_fails_its_gate(
    tmp_path: Path,
    ledger: Ledger,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _rules(tmp_path, "unlink,card:1,wecom:1", "unlink,card:1,wecom:9")
    result = _run(_map("card:1", "wecom:1"), instance, monkeypatch)

    assert not result.success
    assert {block.reason for block in ledger.blocks(IDENTITY_TABLES)} == {
        "failed manual_rules:manual_rules_hold"
    }


def test_a_rule_that_cannot_be_read_stops_before_anything_is_written(
    tmp_path: Path,
    ledger: Ledger,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _rules(tmp_path, "join,card:1,wecom:1")
    result = _run(_map("card:1", "wecom:1"), instance, monkeypatch)

    assert "row 2, action: write link or unlink" in failures(result)["identity"]
    assert ledger.newest(IDENTITY_TABLES[0]) is None


def test_a_decision_that_merges_customers_by_the_mass_is_not_kept(
    ledger: Ledger, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _map("card:1", "wecom:1")
    store = IdentityStore(Paths.of(Settings.from_env()))
    store.write(before)
    merged = replace(NOTHING, customer_count_before=100, merged_customer_count=40, merge_rate=0.4)
    result = _run(replace(_map("card:1"), measured=lambda: merged), instance, monkeypatch)

    (check,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "quality"]
    assert not check.passed
    assert "found 40.0%: the map was left as it was" in str(check.description)
    assert {block.reason for block in ledger.blocks(IDENTITY_TABLES)} == {
        "failed quality:merge_rate"
    }
    assert store.previous()["identifier"].to_pylist() == ["card:1", "wecom:1"]


def test_what_only_warns_is_kept_and_shown_with_its_figures(
    ledger: Ledger, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = replace(NOTHING, refused_edge_count=1, refused_edge_share=0.2)
    result = _run(replace(_map("card:1"), measured=lambda: refused), instance, monkeypatch)

    assert result.success, failures(result)
    (check,) = [one for one in result.get_asset_check_evaluations() if not one.passed]
    assert (check.check_name, check.severity) == ("quality", dg.AssetCheckSeverity.WARN)
    assert ledger.blocks(IDENTITY_TABLES) == []
    store = IdentityStore(Paths.of(Settings.from_env()))
    assert store.quality()["refused_edge_share"].to_pylist() == [0.2]
    (shown,) = result.asset_materializations_for_node("identity")[:1]
    assert shown.metadata["refused_edge_share"].value == 0.2
