"""Moments to kill a run at: every stage in turn, the same for the same seed, and met once."""

from benchmarks._killing import Held, Progress, Step
from benchmarks.kill_rerun import Moment, moments

STEPS = [
    Step("lake/orders", 1.0), Step("lake/stores", 0.0), Step("staging", 2.0), Step("unified", 3.0),
    Step("serving/publication", 0.5),
]  # fmt: skip


def test_every_stage_is_met_before_one_is_met_again() -> None:
    found = [moment.step.partition("/")[0] for moment in moments(STEPS, 8)]
    assert set(found[:4]) == set(found[4:]) == {"lake", "staging", "unified", "serving"}


def test_a_step_that_does_nothing_is_never_chosen() -> None:
    assert "lake/stores" not in {moment.step for moment in moments(STEPS, 40)}


def test_a_moment_lies_within_its_step() -> None:
    for moment in moments(STEPS, 40):
        assert STEPS[moment.steps].name == moment.step
        assert 0 <= moment.cpu_seconds <= STEPS[moment.steps].cpu_seconds


def test_the_same_seed_gives_the_same_moments_and_another_seed_others() -> None:
    assert moments(STEPS, 9, seed=1) == moments(STEPS, 9, seed=1) != moments(STEPS, 9, seed=2)


def test_a_run_that_has_passed_the_moment_is_killed_at_once() -> None:
    moment = Moment(1, "staging", 0.5)
    assert not moment(Progress(STEPS[:1], 0.4))
    assert moment(Progress(STEPS[:1], 0.5))
    assert moment(Progress(STEPS[:2], 0.0))


def test_what_differs_is_named() -> None:
    landed, table = {"lake.orders": (9, 3), "quarantine": (2, 7)}, {"marts.kpi": (1, 5)}
    before = Held(landed, table, table, {"crm:1": "c_1"}, [], [], [])
    assert before.differences(before) == []
    twice = {**landed, "quarantine": (4, 14)}
    after = Held(
        twice, {"marts.kpi": (2, 9)}, {}, {"crm:1": "c_2"}, ["run r"], ["lake.x"], ["tmp/a"]
    )
    assert after.differences(before) == [
        "landed quarantine: (4, 14) instead of (2, 7)",
        "warehouse marts.kpi: (2, 9) instead of (1, 5)",
        "publication marts.kpi: None instead of (1, 5)",
        "the identity map",
        "still open: run r",
        "blocked: lake.x",
        "left behind: tmp/a",
    ]
