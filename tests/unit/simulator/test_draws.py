import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siyu.simulator.crm import running_total
from siyu.simulator.draws import Streams, numbered, pick, positions, runs, tokens
from siyu.simulator.world import yuan


def test_a_stream_does_not_depend_on_what_others_drew() -> None:
    streams = Streams(3)
    streams.of("a").random(10)
    assert streams.of("b").random() == Streams(3).of("b").random()
    assert streams.of("a").random() != streams.of("b").random()


@given(st.lists(st.integers(0, 999_999), max_size=20))
def test_numbers_are_padded_to_their_width(numbers: list[int]) -> None:
    made = numbered("A", np.array(numbers, dtype=np.int64), 6).to_pylist()
    assert made == [f"A{number:06d}" for number in numbers]


def test_a_number_too_long_is_refused_rather_than_cut() -> None:
    with pytest.raises(ValueError, match="more than 2 digits"):
        numbered("", np.array([100]), 2)


def test_tokens_do_not_repeat() -> None:
    made = tokens(np.random.default_rng(1), 5_000, 20, "wm").to_pylist()
    assert len(set(made)) == 5_000
    assert {len(token) for token in made} == {22}


def test_picking_gives_null_where_it_is_missing() -> None:
    values = numbered("x", np.arange(3), 1)
    assert pick(values, np.array([2, -1]), np.array([False, True])).to_pylist() == ["x2", None]


@given(st.lists(st.integers(0, 4), max_size=10))
def test_positions_count_inside_each_run(counts: list[int]) -> None:
    made = positions(np.array(counts, dtype=np.int64)).tolist()
    assert made == [place for count in counts for place in range(count)]


@given(st.lists(st.integers(0, 3), max_size=20))
def test_runs_cover_all_rows(values: list[int]) -> None:
    values.sort()
    first, sizes = runs(np.array(values, dtype=np.int64))
    assert [
        value for at, size in zip(first, sizes, strict=True) for value in [values[at]] * size
    ] == values


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-9, 9)), max_size=30))
def test_a_running_total_adds_up_within_its_group(rows: list[tuple[int, int]]) -> None:
    groups = np.array([group for group, _ in rows], dtype=np.int64)
    amounts = np.array([amount for _, amount in rows], dtype=np.int64)
    expected, so_far = [], dict.fromkeys(range(4), 0)
    for group, amount in rows:
        so_far[group] += amount
        expected.append(so_far[group])
    assert running_total(groups, amounts).tolist() == expected


@given(st.integers(0, 10**9))
def test_fen_are_written_as_yuan_to_the_cent(fen: int) -> None:
    (text,) = yuan(np.array([fen])).to_pylist()
    assert text == f"{fen // 100}.{fen % 100:02d}"
