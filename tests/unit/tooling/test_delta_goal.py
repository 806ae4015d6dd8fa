"""A day must be cheap beside the full load, and no dearer the more history came before it."""

import json
from pathlib import Path

import pytest

from benchmarks import delta_cost
from benchmarks._runs import Refresh
from benchmarks._stopwatch import Spent
from benchmarks.delta_cost import Costs, Run, days_delivered


def _costs(day: float) -> Costs:
    nothing = Run(1.0, 9.0)
    return Costs(Run(100.0, 100.0), nothing, Run(1.0 + day, 9.0), rows=10)


@pytest.mark.parametrize(
    ("half", "whole", "reached"),
    [(4.0, 4.0, True), (4.0, 5.1, True), (4.0, 5.3, False), (4.0, 8.0, False), (11.0, 11.0, False)],
)
def test_the_goal_is_a_cheap_day_whatever_the_length_of_the_history(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    half: float,
    whole: float,
    reached: bool,
) -> None:
    refresh = Refresh({"landing": Spent(1.0, 1.0)}, 0.0, 1.0, 0, Path("home"))
    monkeypatch.setattr(
        delta_cost, "costs", lambda _, __, days: _costs(whole if days == delta_cost.DAYS else half)
    )
    monkeypatch.setattr(delta_cost, "refreshes", lambda *_: (refresh, refresh))
    assert delta_cost.main() is reached
    line = json.loads(capsys.readouterr().out)
    assert line["ok"] is reached
    assert line["growth_from_half_history"] == pytest.approx(whole / half, rel=1e-3)


def test_each_try_of_a_day_begins_with_what_there_was_before_it(tmp_path: Path) -> None:
    root, day = tmp_path / "root", tmp_path / "day"
    for folder in (root / "sources" / "pos", root / "lake", day / "pos"):
        folder.mkdir(parents=True)
    (root / "sources" / "pos" / "monday.csv").write_text("1")
    (root / "ops.sqlite3").write_text("before")
    (day / "pos" / "tuesday.csv").write_text("2")
    unread = (root / "sources" / "pos" / "monday.csv").stat()
    tries = 0
    for _ in days_delivered(tmp_path / "before", day, root):
        tries += 1
        assert (root / "ops.sqlite3").read_text() == "before"
        assert list((root / "lake").iterdir()) == []
        assert {file.name for file in (root / "sources" / "pos").iterdir()} == {
            "monday.csv", "tuesday.csv",
        }  # fmt: skip
        (root / "ops.sqlite3").write_text("after")
        (root / "lake" / "part").write_text("landed")
    assert tries == delta_cost.TRIES > 1
    assert (root / "sources" / "pos" / "monday.csv").stat() == unread
