"""A benchmark's line, its goal, and the harness's exit status."""

import json
import math
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import __main__ as harness
from benchmarks import simulator_rate
from benchmarks._report import at_least, at_most, measured, report

LINE = {"name": "x", "unit": "ratio", "compared_with": "a reference"}


def test_the_line_is_json_with_every_field(capsys):
    assert report(value=1.23456, goal=at_most(1.5), wall_seconds=2.0, **LINE)
    assert json.loads(capsys.readouterr().out) == {
        "name": "x",
        "value": 1.235,
        "unit": "ratio",
        "goal": "<= 1.5",
        "ok": True,
        "compared_with": "a reference",
        "wall_seconds": 2.0,
    }


def test_a_figure_short_of_its_goal_is_not_ok(capsys):
    assert not report(value=1.51, goal=at_most(1.5), **LINE)
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_the_goal_is_judged_before_the_figure_is_rounded(capsys):
    assert not report(value=1.50001, goal=at_most(1.5), **LINE)
    assert json.loads(capsys.readouterr().out)["value"] == 1.5


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_that_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="x: not a finite number: value"):
        report(value=value, goal=at_least(0), **LINE)


@given(value=st.floats(allow_nan=False), bound=st.floats(allow_nan=False, allow_infinity=False))
def test_only_the_bound_itself_keeps_both_goals(value, bound):
    both = at_most(bound).reached(value) and at_least(bound).reached(value)
    assert both == (value == bound)


def test_cpu_time_and_memory_of_the_block_are_measured():
    with measured() as cost:
        held = bytearray(64 * 1024 * 1024)
        total = sum(i * i for i in range(200_000))
    assert held is not None
    assert total > 0
    assert cost.peak_bytes >= len(held)
    assert cost.cpu_seconds > 0
    assert cost.wall_seconds > 0


def test_what_a_broken_block_took_is_still_measured():
    with pytest.raises(ZeroDivisionError), measured() as cost:
        _ = 1 / 0
    assert cost.wall_seconds > 0


def test_shared_modules_are_not_benchmarks(tmp_path):
    for name in ("speed.py", "_report.py", "__main__.py"):
        (tmp_path / name).touch()
    assert harness.names(tmp_path) == ["speed"]


def test_an_unknown_benchmark_is_refused_with_the_known_ones(monkeypatch, capsys):
    monkeypatch.setattr(harness, "names", lambda: ["speed"])
    assert harness.main(["sped"]) == 2
    assert "speed" in capsys.readouterr().err


def test_no_benchmark_at_all_is_not_a_success(monkeypatch, capsys):
    monkeypatch.setattr(harness, "names", list)
    assert harness.main([]) == 2
    assert "no benchmark" in capsys.readouterr().err


@pytest.mark.parametrize(("reached", "status"), [(True, 0), (False, 1)])
def test_the_exit_status_says_whether_the_goal_was_reached(monkeypatch, reached, status):
    class Benchmark:
        @staticmethod
        def main():
            return reached

    monkeypatch.setattr(harness, "names", lambda: ["speed"])
    monkeypatch.setattr(harness.importlib, "import_module", lambda _name: Benchmark)
    assert harness.main(["speed"]) == status


def test_a_benchmark_that_does_not_say_is_refused(monkeypatch):
    class Benchmark:
        @staticmethod
        def main():
            return None

    monkeypatch.setattr(harness.importlib, "import_module", lambda _name: Benchmark)
    with pytest.raises(TypeError, match=r"benchmarks/speed\.py"):
        harness.run_one("speed")


def test_one_short_benchmark_does_not_stop_the_others(monkeypatch, capsys):
    monkeypatch.delenv("SIYU_BENCH_HOME", raising=False)
    statuses = {"first": 1, "second": 0}
    ran, homes = [], set()

    def run(command, env, check):
        ran.append(command[-1])
        homes.add(env["SIYU_BENCH_HOME"])
        return subprocess.CompletedProcess(command, statuses[command[-1]])

    monkeypatch.setattr(harness.subprocess, "run", run)
    assert harness.run_all(list(statuses)) == 1
    assert ran == ["first", "second"]
    assert len(homes) == 1
    assert not any(Path(home).exists() for home in homes)
    assert capsys.readouterr().err == "short of their goals: first\n"


@pytest.mark.parametrize(("most_bytes", "kept"), [(1, False), (10**15, True)])
def test_a_simulator_that_holds_too_much_fails_its_benchmark_however_fast(
    most_bytes, kept, monkeypatch, capsys
):
    made = SimpleNamespace(members=50, order_lines=1, rows={"mini_program/events": 1})
    monkeypatch.setattr(simulator_rate, "simulate", lambda *_: made)
    monkeypatch.setattr(simulator_rate, "MOST_BYTES", most_bytes)
    assert simulator_rate.main() is kept
    assert json.loads(capsys.readouterr().out)["most_peak_bytes"] == most_bytes
