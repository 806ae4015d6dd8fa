"""Definitions follow from the environment, and an environment that cannot be used says so."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg
import pytest

from orchestration import __main__ as command
from orchestration.definitions import defs
from orchestration.environment import Environment
from orchestration.lib.standing import STANDS, may_stand
from siyu.config import SettingsError
from siyu.retailer import RetailerError

SHIPPED = ("demo", "complete_journey", "uci_online_retail")


@pytest.mark.parametrize("retailer", SHIPPED)
def test_every_retailer_has_the_same_assets_and_checks(
    demo: dg.Definitions, retailer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIYU_RETAILER", retailer)
    graph, other = demo.resolve_asset_graph(), defs().resolve_asset_graph()
    assert other.materializable_asset_keys == graph.materializable_asset_keys
    assert set(other.asset_check_keys) == set(graph.asset_check_keys)


@pytest.mark.parametrize("retailer", SHIPPED)
def test_as_of_days_are_the_retailers_history(
    retailer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIYU_RETAILER", retailer)
    environment = Environment.load()
    partitions = environment.as_of_partitions()
    said = environment.retailer
    assert partitions.get_first_partition_key() == said.history_from.isoformat()
    assert partitions.timezone == said.timezone
    if said.history_to is not None:
        assert partitions.get_last_partition_key() == said.history_to.isoformat()


def test_an_unknown_retailer_is_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIYU_RETAILER", "nobody")
    with pytest.raises(RetailerError, match=r"nobody/retailer.yaml: no such file; copy one from"):
        Environment.load()


def test_an_unknown_engine_is_an_error_that_says_what_to_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIYU_ENGINE", "postgres")
    with pytest.raises(SettingsError, match=r"SIYU_ENGINE is 'postgres': use one of"):
        Environment.load()


# --- the command -------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """What the command runs, without running it."""
    found: list[tuple[str, str | None]] = []

    def run(job: str, day: str | None, tags: Mapping[str, str] | None = None) -> bool:
        found.append((job, day))
        return True

    monkeypatch.setattr(command, "_run", run)
    monkeypatch.setattr(command, "prepare_instance", lambda _: None)
    return found


def test_a_refresh_lands_first_and_then_works_as_of_a_day(
    asked: list[tuple[str, str | None]],
) -> None:
    assert command.main(["refresh", "--as-of", "2026-06-30"]) == 0
    assert asked == [("land", None), ("refresh", "2026-06-30")]


@pytest.mark.parametrize("arguments", [[], ["--full"]])
def test_a_full_refresh_leaves_nothing_standing(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    stands: list[bool] = []

    def run(job: str, _: str | None, tags: Mapping[str, str] | None = None) -> bool:
        if job == "refresh":
            stands.append(may_stand({**STANDS, **(tags or {})}))
        return True

    monkeypatch.setattr(command, "_run", run)
    monkeypatch.setattr(command, "prepare_instance", lambda _: None)
    assert command.main(["refresh", "--as-of", "2026-06-30", *arguments]) == 0
    assert stands == [not arguments]


@pytest.mark.parametrize("job", ["land", "publish"])
def test_some_jobs_speak_of_no_day(asked: list[tuple[str, str | None]], job: str) -> None:
    assert command.main([job]) == 0
    assert asked == [(job, None)]


def test_the_environment_may_name_the_day(
    asked: list[tuple[str, str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIYU_AS_OF", "2026-05-31")
    assert command.main(["score"]) == 0
    assert asked == [("score", "2026-05-31")]


def test_no_refresh_follows_a_landing_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def fail(job: str, day: str | None) -> bool:
        ran.append(job)
        return False

    monkeypatch.setattr(command, "_run", fail)
    monkeypatch.setattr(command, "prepare_instance", lambda _: None)
    assert command.main(["refresh"]) == 1
    assert ran == ["land"]


@pytest.mark.usefixtures("asked")
def test_a_retailer_that_cannot_be_read_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIYU_RETAILER", "nobody")
    assert command.main(["land"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "nobody/retailer.yaml: no such file" in line


@pytest.mark.usefixtures("asked")
def test_a_day_cannot_be_found_before_anything_landed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["score"]) == 2
    assert "no day is complete yet" in capsys.readouterr().err
