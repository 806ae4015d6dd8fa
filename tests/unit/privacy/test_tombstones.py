"""Tombstones say who was erased to whoever asks, and name nobody."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from siyu.contracts import contract
from siyu.paths import Paths
from siyu.privacy.search import Finder
from siyu.tombstones import IDENTIFIER, Tombstones, bury, copy_out, documents, merge

NOW = datetime(2026, 6, 30, 4, 0, tzinfo=UTC)
PERSON = "crm:M00000042"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "home", "shop")


def rows(**columns: list[str | int | None]) -> pa.RecordBatch:
    return pa.record_batch({name: pa.array(values) for name, values in columns.items()})


def test_nobody_is_erased_where_there_are_none(paths: Paths) -> None:
    tombstones = Tombstones.of(paths)
    assert not tombstones
    assert not tombstones.covers(IDENTIFIER, PERSON)


def test_who_was_erased_is_known_again_and_stands_in_no_file(paths: Paths) -> None:
    assert bury(paths, "r1", {IDENTIFIER: [PERSON], "orders": ["A-1"]}, NOW) == 2
    assert bury(paths, "r1", {IDENTIFIER: [PERSON]}, NOW) == 1
    tombstones = Tombstones.of(paths)
    assert tombstones.covers(IDENTIFIER, PERSON)
    assert not tombstones.covers("orders", PERSON)
    assert Finder({"person": PERSON}).below(paths.root, [paths.keys]) == []


def test_a_row_is_of_the_erased_by_any_of_its_customer_columns(paths: Paths) -> None:
    bury(paths, "r1", {IDENTIFIER: [PERSON, "phone:aa"]}, NOW)
    orders = rows(
        order_id=["1", "2", "3", "4"],
        member_id=[PERSON, None, "crm:1", None],
        phone_token=[None, "phone:aa", None, None],
    )
    found = Tombstones.of(paths).erased(contract("orders"), orders)
    assert found.to_pylist() == [True, True, False, False]


def test_what_belongs_to_an_erased_order_is_of_the_erased(paths: Paths) -> None:
    assert documents() == {"orders": "order_id"}
    bury(paths, "r1", {"orders": ["A-1"]}, NOW)
    tombstones = Tombstones.of(paths)
    for entity in ("orders", "order_lines", "payments", "refunds"):
        found = tombstones.erased(contract(entity), rows(order_id=["A-1", "A-2", None]))
        assert found.to_pylist() == [True, False, False], entity
    points = tombstones.erased(contract("points"), rows(order_id=["A-1"], member_id=["crm:1"]))
    assert points.to_pylist() == [False]


def test_a_row_may_be_kept_out_by_a_key_of_several_parts(paths: Paths) -> None:
    bury(paths, "r1", {"contacts": ["wecom:x|s1"]}, NOW)
    contacts = rows(external_userid=["wecom:x", "wecom:x"], staff_id=["s1", "s2"])
    found = Tombstones.of(paths).erased(contract("contacts"), contacts)
    assert found.to_pylist() == [True, False]


def test_others_lose_only_their_mention_of_the_erased(paths: Paths) -> None:
    bury(paths, "r1", {IDENTIFIER: [PERSON], "orders": ["A-1"]}, NOW)
    members = rows(
        member_id=["crm:1", "crm:2"],
        referrer_member_id=[PERSON, "crm:1"],
        home_store_id=["S1", "S1"],
    )
    tombstones = Tombstones.of(paths)
    kept = tombstones.without_mentions(contract("members"), members)
    assert kept.to_pydict() == {**members.to_pydict(), "referrer_member_id": [None, "crm:1"]}

    points = rows(member_id=["crm:1", "crm:2"], order_id=["A-1", "A-2"])
    left = tombstones.without_mentions(contract("points"), points)
    assert left.to_pydict() == {"member_id": ["crm:1", "crm:2"], "order_id": [None, "A-2"]}


def test_tombstones_of_another_home_are_taken_over_once(paths: Paths, tmp_path: Path) -> None:
    bury(paths, "r1", {IDENTIFIER: [PERSON]}, NOW)
    copied = tmp_path / "tombstones.parquet"
    assert copy_out(paths, copied) == 1
    other = Paths(tmp_path / "other", "shop")
    other.keys.mkdir(parents=True, mode=0o700)
    for key in paths.keys.iterdir():
        (other.keys / key.name).write_bytes(key.read_bytes())
        (other.keys / key.name).chmod(0o600)
    assert [merge(other, place) for place in (copied, copied, paths.tombstones)] == [1, 0, 0]
    assert Tombstones.of(other).covers(IDENTIFIER, PERSON)
    with pytest.raises(FileNotFoundError, match="no tombstones there"):
        merge(other, tmp_path / "nowhere")
