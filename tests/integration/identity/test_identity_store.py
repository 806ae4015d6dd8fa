"""The identity state on real Delta tables."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable

import siyu.identity.store as store_module
from siyu.identity import IdentityStore, Resolution
from siyu.identity.history import PAST_SCHEMA
from siyu.identity.quality import NOTHING
from siyu.identity.resolution import EVENT_SCHEMA, MAP_SCHEMA, REFUSED_SCHEMA
from siyu.lake import Lake
from siyu.paths import Paths


def _resolution(customer_id: str) -> Resolution:
    row = {
        "identifier": "crm:1",
        "namespace": "crm",
        "customer_id": customer_id,
        "own_customer_id": customer_id,
        "is_junk": False,
        "known_at": None,
        "updated_run_id": "run",
    }
    event = dict.fromkeys(EVENT_SCHEMA.names) | {"event_id": customer_id, "event_type": "create"}
    return Resolution(
        customer_identifier=pa.Table.from_pylist([row], MAP_SCHEMA),
        events=pa.Table.from_pylist([event], EVENT_SCHEMA),
        refused_edges=REFUSED_SCHEMA.empty_table(),
        measured=lambda: NOTHING,
    )


def _events(paths: Paths) -> list[str]:
    table = DeltaTable(paths.identity / "identity_event").to_pyarrow_table()
    return sorted(table["event_id"].to_pylist())


def test_what_was_written_is_what_the_next_run_starts_from(tmp_path: Path) -> None:
    store = IdentityStore(Paths(tmp_path, "r"))
    assert len(store.previous()) == 0
    assert store.write(_resolution("c_1"))
    assert store.previous().equals(_resolution("c_1").customer_identifier)


def test_the_same_decision_again_writes_nothing(tmp_path: Path) -> None:
    store = IdentityStore(Paths(tmp_path, "r"))
    store.write(_resolution("c_1"))
    version = store.version()
    assert not store.write(replace(_resolution("c_1"), events=EVENT_SCHEMA.empty_table()))
    assert store.version() == version


def test_a_manual_rule_that_changes_no_customer_has_its_event(tmp_path: Path) -> None:
    paths = Paths(tmp_path, "r")
    store = IdentityStore(paths)
    store.write(_resolution("c_1"))
    rule = dict.fromkeys(EVENT_SCHEMA.names) | {"event_id": "e", "event_type": "manual_link"}
    assert store.rules_applied() == frozenset()

    said = pa.Table.from_pylist([rule], EVENT_SCHEMA)
    assert store.write(replace(_resolution("c_1"), events=said))

    assert store.rules_applied() == {"e"}
    assert _events(paths) == ["c_1", "e"]


def test_a_refused_edge_whose_evidence_grew_is_kept_as_it_is_now(tmp_path: Path) -> None:
    store = IdentityStore(Paths(tmp_path, "r"))
    for evidence in (1, 2):
        edge = dict.fromkeys(REFUSED_SCHEMA.names) | {"rule_id": "r", "evidence_count": evidence}
        refused = pa.Table.from_pylist([edge], REFUSED_SCHEMA)
        assert store.write(replace(_resolution("c_1"), refused_edges=refused))
        assert store.refused().equals(refused)


def test_a_map_of_before_merges_could_be_undone_goes_back_to_what_it_says(tmp_path: Path) -> None:
    paths = Paths(tmp_path, "r")
    older = _resolution("c_1").customer_identifier.drop_columns(["own_customer_id"])
    store_module.write_deltalake(paths.identity / "customer_identifier", older)

    assert IdentityStore(paths).previous()["own_customer_id"].to_pylist() == ["c_1"]


def test_events_of_before_they_named_a_second_identifier_are_still_read(tmp_path: Path) -> None:
    paths = Paths(tmp_path, "r")
    older = _resolution("c_1").events.drop_columns(["other_identifier"])
    older = older.append_column("map_version", pa.array([0], pa.int64()))
    store_module.write_deltalake(paths.identity / "identity_event", older)
    map_of_then = _resolution("c_1").customer_identifier
    store_module.write_deltalake(paths.identity / "customer_identifier", map_of_then)

    IdentityStore(paths).write(replace(_resolution("c_2"), events=EVENT_SCHEMA.empty_table()))
    with duckdb.connect() as connection:
        Lake(paths).register(connection)
        said = connection.execute("SELECT event_id, other_identifier FROM lake.identity_event")
        assert said.fetchall() == [("c_1", None)]


def test_a_past_that_is_as_it_was_is_not_written_again(tmp_path: Path) -> None:
    store = IdentityStore(Paths(tmp_path, "r"))
    row = dict.fromkeys(PAST_SCHEMA.names) | {"identifier": "crm:1", "customer_id": "c_2"}
    before = pa.Table.from_pylist([row], PAST_SCHEMA)
    assert store.past_version() == -1

    assert store.write_past(before)
    assert not store.write_past(before)
    assert store.write_past(PAST_SCHEMA.empty_table())
    assert store.past_version() == 1


def test_events_of_a_run_killed_before_the_map_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths(tmp_path, "r")
    store = IdentityStore(paths)
    store.write(_resolution("c_1"))
    real = store_module.write_deltalake

    def killed_at_the_map(path: Path, *args: object, **kwargs: object) -> None:
        if Path(path).name == "customer_identifier":
            raise KeyboardInterrupt
        real(path, *args, **kwargs)

    monkeypatch.setattr(store_module, "write_deltalake", killed_at_the_map)
    with pytest.raises(KeyboardInterrupt):
        store.write(_resolution("c_killed"))
    assert _events(paths) == ["c_1", "c_killed"]
    monkeypatch.setattr(store_module, "write_deltalake", real)
    store.write(_resolution("c_2"))
    assert _events(paths) == ["c_1", "c_2"]


def test_figures_are_those_of_finished_decisions_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths(tmp_path, "r")
    store = IdentityStore(paths)
    for count in (3, 2):
        measured = partial(replace, NOTHING, customer_count=count)
        store.write(replace(_resolution(f"c_{count}"), measured=measured))
    # Of a run that was killed before its map was written.
    unfinished = replace(NOTHING, customer_count=9).as_table()
    unfinished = unfinished.append_column("map_version", pa.array([store.version() + 1]))
    store_module.write_deltalake(paths.identity / "identity_quality", unfinished, mode="append")

    assert store.quality()["customer_count"].to_pylist() == [3, 2]
    store.write(replace(_resolution("c_4"), measured=partial(replace, NOTHING, customer_count=4)))
    assert store.quality()["customer_count"].to_pylist() == [3, 2, 4]


def test_a_decision_that_only_links_customers_more_closely_is_kept_and_one_alike_is_not(
    tmp_path: Path,
) -> None:
    store = IdentityStore(Paths(tmp_path, "r"))
    none = EVENT_SCHEMA.empty_table()
    store.write(
        replace(_resolution("c_1"), measured=partial(replace, NOTHING, created_customer_count=1))
    )

    closer = partial(replace, NOTHING, edge_count=2)
    assert not store.write(replace(_resolution("c_1"), events=none))
    assert store.write(replace(_resolution("c_1"), events=none, measured=closer))
    assert store.quality()["edge_count"].to_pylist() == [0, 2]
