import numpy as np
import pyarrow as pa
import pytest

from siyu.simulator.dirt import Dirt
from siyu.simulator.draws import Streams
from siyu.simulator.parameters import DIRT


@pytest.fixture
def dirt() -> Dirt:
    return Dirt(Streams(1), 1.0)


def test_the_share_of_marked_rows_is_the_rate(dirt: Dirt) -> None:
    assert dirt.mark("feed", "late", 10_000).sum() == round(10_000 * DIRT.late)


def test_the_smallest_feed_still_shows_every_kind(dirt: Dirt) -> None:
    assert dirt.mark("feed", "invalid", 5).sum() == 1


def test_a_feed_made_in_parts_shows_every_kind_before_it_closes(dirt: Dirt) -> None:
    rng = Streams(1).of("part")
    assert not dirt.sprinkle(rng, "feed", "invalid", 5, closing=False).any()
    assert dirt.sprinkle(rng, "feed", "invalid", 5, closing=True).tolist() == [True, *[False] * 4]
    dirt.counts["feed", "invalid"] += 1
    assert not dirt.sprinkle(rng, "feed", "invalid", 5, closing=True).any()
    assert not dirt.sprinkle(rng, "other", "invalid", 0, closing=True).any()


def test_only_rows_that_can_get_it_are_marked(dirt: Dirt) -> None:
    among = np.arange(100) < 10
    assert not (dirt.mark("feed", "late", 100, among) & ~among).any()


def test_a_multiplier_of_zero_leaves_everything_clean() -> None:
    clean = Dirt(Streams(1), 0.0)
    table = pa.table({"id": ["a", "b"]})
    assert clean.repeat("feed", table) == table
    assert clean.spoil("feed", table, {"missing id": {"id": None}}) == table
    assert not clean.sprinkle(Streams(1).of("part"), "feed", "late", 9, closing=True).any()


def test_spoilt_rows_are_added_behind_their_originals_and_true_rows_kept(dirt: Dirt) -> None:
    table = pa.table({"id": [f"{n}" for n in range(50)], "amount": list(range(50))})
    spoilt = dirt.spoil("feed", table, {"bad amount": {"id": "BAD{n}"}}).to_pylist()
    (place,) = [n for n, row in enumerate(spoilt) if row["id"] == "BAD0"]
    assert spoilt[place - 1]["amount"] == spoilt[place].pop("amount")
    assert spoilt.pop(place) == {"id": "BAD0"}
    assert spoilt == table.to_pylist()


def test_a_row_that_repeats_comes_after_it_first_came_and_long_before_the_end(dirt: Dirt) -> None:
    table = dirt.repeat("feed", pa.table({"id": list(range(10_000))}))
    ids = table["id"].to_numpy()
    first, place = np.unique(ids, return_index=True)
    again = np.setdiff1d(np.arange(len(ids)), place)
    assert len(again) == round(10_000 * DIRT.duplicate)
    assert (again > place[ids[again]]).all()
    assert (again - place[ids[again]] < 300).all()
    assert (ids[place] == first).all()
    assert (np.diff(ids[np.sort(place)]) == 1).all()


def test_what_was_spoilt_is_counted(dirt: Dirt) -> None:
    dirt.repeat("feed", pa.table({"id": list(range(1_000))}))
    assert dirt.counts["feed", "duplicate"] == round(1_000 * DIRT.duplicate)
