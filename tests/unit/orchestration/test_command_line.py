"""Which jobs ``python -m orchestration`` runs one after another, and what its exit status says."""

from dataclasses import dataclass, field

import pytest

from orchestration import __main__ as command


@dataclass
class Runs:
    """Jobs that were run, of which some fail."""

    done: list[str] = field(default_factory=list)
    failing: str = ""

    def run(self, job: str, _day: str | None, _tags: object = None) -> bool:
        self.done.append(job)
        return job != self.failing


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    made = Runs()
    monkeypatch.setattr(command, "_run", made.run)
    monkeypatch.setattr(command, "prepare_instance", lambda _: None)
    monkeypatch.setattr(command, "_default_day", lambda _: "2026-06-30")
    return made


@pytest.mark.parametrize("crowded", [False, True])
def test_a_refresh_lands_first_and_keeps_up_a_crowded_lake(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, crowded: bool
) -> None:
    monkeypatch.setattr(command, "is_crowded", lambda _: crowded)
    assert command.main(["refresh"]) == 0
    assert runs.done == ["land", "refresh", *(["maintenance"] if crowded else [])]


@pytest.mark.parametrize("job", ["land", "score", "publish", "maintenance"])
def test_another_job_is_run_alone(runs: Runs, monkeypatch: pytest.MonkeyPatch, job: str) -> None:
    monkeypatch.setattr(command, "is_crowded", lambda _: True)
    assert command.main([job]) == 0
    assert runs.done == [job]


@pytest.mark.parametrize("failing", ["land", "refresh", "maintenance"])
def test_what_fails_ends_it(runs: Runs, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    monkeypatch.setattr(command, "is_crowded", lambda _: True)
    runs.failing = failing
    assert command.main(["refresh"]) == 1
    assert runs.done[-1] == failing
