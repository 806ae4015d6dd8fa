"""Alerts over HTTP: sent once a run, tried again, and never the reason that a run fails."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from small_workspace import BAD, GOOD, REPORT, open_corner_shop, run, small_definitions
from tenacity import wait_none

from orchestration import __main__ as command
from orchestration.defs.alerts import alerts
from orchestration.environment import Environment
from orchestration.lib.alerting import alert_about, alert_about_failures
from orchestration.lib.reaper import PROCESS_TAG
from siyu.alerts import Alert, send
from siyu.ops import Ledger
from siyu.paths import Paths

ALERT = Alert("ERROR", "shop", "land", "3f2a", "land failed")


@dataclass
class Hook:
    """A webhook on this machine.

    Attributes:
        url: Where it listens.
        answers: Statuses of its next answers; then 200.
        taken: What it answered 200 to.
        calls: How often it was asked.
    """

    url: str = ""
    answers: list[int] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    calls: int = 0


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    found = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.calls += 1
            status = found.answers.pop(0) if found.answers else 200
            if status == 200:
                found.taken.append(json.loads(body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/hook?key=s3cr3t"
    monkeypatch.setenv("SIYU_ALERT_WEBHOOK", found.url)
    monkeypatch.setattr("siyu.alerts._WAIT", wait_none())
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    open_corner_shop(tmp_path, monkeypatch)
    return Environment.load()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


# --- sending -----------------------------------------------------------------------------------


def test_an_alert_is_sent_as_json_with_its_text(hook: Hook) -> None:
    assert send(ALERT)
    (body,) = hook.taken
    assert (body["severity"], body["retailer"], body["run_id"]) == ("ERROR", "shop", "3f2a")
    assert body["text"] == "[ERROR] shop: land failed | run 3f2a"


@pytest.mark.parametrize("answers", [[500], [429, 503]])
def test_a_webhook_that_is_busy_is_asked_again(hook: Hook, answers: list[int]) -> None:
    hook.answers = answers.copy()
    assert send(ALERT)
    assert hook.calls == len(answers) + 1
    assert len(hook.taken) == 1


@pytest.mark.parametrize(("answers", "calls"), [([500] * 9, 3), ([404] * 9, 1)])
def test_a_webhook_that_refuses_is_named_without_its_key_and_nothing_is_raised(
    hook: Hook, caplog: pytest.LogCaptureFixture, answers: list[int], calls: int
) -> None:
    hook.answers = answers.copy()
    with caplog.at_level(logging.WARNING, "siyu.alerts"):
        assert not send(ALERT)
    assert hook.calls == calls
    assert f"HTTP {answers[0]}" in caplog.text
    assert "s3cr3t" not in caplog.text


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x?key=s3cr3t", "no address", "ftp://s3cr3t"])
def test_a_webhook_that_is_not_there_breaks_nothing(
    hook: Hook, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    with caplog.at_level(logging.WARNING, "siyu.alerts"):
        assert not send(ALERT, {"SIYU_ALERT_WEBHOOK": url})
    assert "could not be sent" in caplog.text
    assert "s3cr3t" not in caplog.text
    assert hook.calls == 0


def test_without_a_webhook_an_alert_is_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "siyu.alerts"):
        assert not send(ALERT, {})
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("ERROR", ALERT.text)


# --- of runs -----------------------------------------------------------------------------------


def test_a_failed_gate_is_told_once_though_two_look(
    hook: Hook, environment: Environment, instance: dg.DagsterInstance
) -> None:
    result = run(small_definitions(lambda: BAD), instance)
    for _ in range(2):
        alert_about(instance, result.run_id, environment)
    (body,) = hook.taken
    assert body["severity"] == "ERROR"
    assert [rule["rule"] for rule in body["failed_rules"]] == ["gx:key_unique"]
    assert "1 blocking asset check failed" in body["what"]


def test_recovery_is_told_and_a_run_after_it_is_not(
    hook: Hook, environment: Environment, instance: dg.DagsterInstance
) -> None:
    versions = iter([BAD, GOOD, GOOD])
    definitions = small_definitions(lambda: next(versions))
    for _ in range(3):
        alert_about(instance, run(definitions, instance).run_id, environment)
    assert [body["severity"] for body in hook.taken] == ["ERROR", "INFO"]
    assert hook.taken[1]["what"] == "all_assets succeeds again"


def test_a_run_that_only_reads_says_which_rule_stops_it(
    hook: Hook, environment: Environment, instance: dg.DagsterInstance
) -> None:
    definitions = small_definitions(lambda: BAD)
    run(definitions, instance)
    alert_about(instance, run(definitions, instance, REPORT).run_id, environment)
    (body,) = hook.taken
    assert [rule["table"] for rule in body["failed_rules"]] == ["unified.dim_staff"]


def test_a_run_found_dead_by_another_is_told(
    hook: Hook, environment: Environment, instance: dg.DagsterInstance
) -> None:
    began = datetime.now(UTC)
    definitions = small_definitions(lambda: GOOD)
    dead = instance.create_run_for_job(
        definitions.resolve_job_def("all_assets"),
        status=dg.DagsterRunStatus.STARTED,
    )
    instance.add_run_tags(dead.run_id, {PROCESS_TAG: f"{dead.run_id} {2**22 + 1}@12345"})
    Ledger(Paths.of(environment.settings).ops).begin_run(dead.run_id, "all_assets")
    run(definitions, instance)
    (alert,) = alert_about_failures(instance, began, environment)
    assert alert.what == "all_assets was killed"
    assert len(hook.taken) == 1


def test_a_failed_step_whose_error_was_not_written_here_is_only_named(
    hook: Hook, environment: Environment, instance: dg.DagsterInstance
) -> None:
    def rows() -> str:
        raise ValueError("Zhang San, born 1990-01-01")

    alert_about(instance, run(small_definitions(rows), instance).run_id, environment)
    (body,) = hook.taken
    assert "stopped by ValueError" in body["what"]
    assert "Zhang San" not in json.dumps(body)


def test_the_sensors_tell_of_what_the_daemon_ran(
    hook: Hook, environment: Environment, instance: dg.DagsterInstance
) -> None:
    versions = iter([BAD, GOOD])
    definitions = small_definitions(lambda: next(versions))
    sensors = {each.name: each for each in alerts().sensors or ()}
    for name, event in (
        ("alert_failed_runs", dg.DagsterEventType.RUN_FAILURE),
        ("alert_warned_and_recovered_runs", dg.DagsterEventType.RUN_SUCCESS),
    ):
        ended = instance.get_run_by_id(run(definitions, instance).run_id)
        assert ended is not None
        context = dg.build_run_status_sensor_context(
            sensor_name=name,
            dagster_event=dg.DagsterEvent(event.value, "all_assets"),
            dagster_instance=instance,
            dagster_run=ended,
        )
        if event is dg.DagsterEventType.RUN_FAILURE:
            context = context.for_run_failure()
        sensors[name](context)  # type: ignore[operator]  # a sensor may be called; its base says not
    assert [body["severity"] for body in hook.taken] == ["ERROR", "INFO"]


def test_the_command_tells_of_its_own_runs(
    hook: Hook, environment: Environment, instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    definitions = small_definitions(lambda: BAD)
    landing = dg.Definitions.merge(definitions, dg.Definitions(
        jobs=[dg.define_asset_job("land")],
        loggers={"console": dg.colored_console_logger},
    ))  # fmt: skip
    monkeypatch.setattr(command, "_definitions", lambda: landing)
    monkeypatch.setattr(command, "open_instance", lambda: instance)
    monkeypatch.setattr(command, "prepare_instance", lambda _: None)
    assert command.main(["land"]) == 1
    (body,) = hook.taken
    assert (body["job"], body["severity"]) == ("land", "ERROR")
