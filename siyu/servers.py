"""The servers behind ``siyu ui``: Dagster's UI and daemon, and MLflow, which go up and down together.

What belongs here: their command lines, and watching their processes. What does not: what they show
(``orchestration``, ``ml``).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from siyu import dagster_home
from siyu.config import REPO, Settings
from siyu.paths import Paths

HOST = "127.0.0.1"

_LOOK_EVERY_SECONDS = 0.5
# A server that has not ended so long after it was asked to is killed.
_PATIENCE_SECONDS = 10


class ServerEnded(Exception):
    """A server ended by itself; the message says which and what to do."""


@dataclass(frozen=True)
class Server:
    """One process.

    Attributes:
        name: What people call it.
        command: Its command line.
        port: Where it answers on this machine; None for one that nobody asks.
    """

    name: str
    command: tuple[str, ...]
    port: int | None = None


def ui_servers(
    settings: Settings, dagster_port: int, mlflow_port: int, env: Mapping[str, str]
) -> list[Server]:
    """Dagster's UI and daemon, and MLflow, unless ``MLFLOW_TRACKING_URI`` names a server elsewhere.

    Args:
        settings: Say where MLflow keeps its own.
        dagster_port: Port of Dagster's UI.
        mlflow_port: Port of MLflow.
        env: The environment.
    """
    programs = Path(sys.executable).parent
    workspace = ("-w", str(REPO / "workspace.yaml"))
    webserver = (str(programs / "dagster-webserver"), *workspace)
    started = [
        Server("Dagster", (*webserver, "-h", HOST, "-p", str(dagster_port)), dagster_port),
        Server("Dagster's daemon", (str(programs / "dagster-daemon"), "run", *workspace)),
    ]
    if mlflow_elsewhere(env):
        return started
    folder = Paths.of(settings).mlflow
    folder.mkdir(parents=True, exist_ok=True)
    store = env.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder / 'mlflow.db'}"
    mlflow = (
        str(programs / "mlflow"), "server", "--host", HOST, "--port", str(mlflow_port),
        "--workers", "1", "--backend-store-uri", store,
        "--artifacts-destination", str(folder / "artifacts"),
    )  # fmt: skip
    return [*started, Server("MLflow", mlflow, mlflow_port)]


def mlflow_elsewhere(env: Mapping[str, str]) -> str | None:
    """Address of the MLflow server that the environment names, or None."""
    said = env.get("MLFLOW_TRACKING_URI") or ""
    return said if said.startswith(("http://", "https://")) else None


def ui_environment(settings: Settings, env: Mapping[str, str]) -> dict[str, str]:
    """The environment of those servers."""
    return {
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **env,
        "DAGSTER_HOME": str(dagster_home.chosen(settings, env)),
    }


def run(servers: Sequence[Server], env: Mapping[str, str], on_ready: Callable[[], None]) -> None:
    """Run servers until Ctrl-C or SIGTERM, or until one of them ends; then stop them all.

    Args:
        servers: What to start.
        env: Their environment.
        on_ready: Called once, when all that have a port answer.

    Raises:
        ServerEnded: one ended by itself.
    """
    started: list[tuple[Server, subprocess.Popen[bytes]]] = []
    with suppress(KeyboardInterrupt), _interrupted_by_sigterm():
        try:
            for server in servers:
                # In a session of its own, so that Ctrl-C reaches it once: from here.
                process = subprocess.Popen(
                    server.command, cwd=REPO, env=env, start_new_session=True
                )
                started.append((server, process))
            _watch(started, on_ready)
        finally:
            _stop([process for _, process in started])


def _watch(
    started: Sequence[tuple[Server, subprocess.Popen[bytes]]], on_ready: Callable[[], None]
) -> None:
    told = False
    while True:
        for server, process in started:
            if process.poll() is not None:
                raise ServerEnded(
                    f"{server.name} ended with exit code {process.returncode}, so all were stopped; "
                    "what it said is above"
                    + (f"; is port {server.port} taken?" if server.port else "")
                )
        if not told and all(_answers(server.port) for server, _ in started if server.port):
            on_ready()
            told = True
        time.sleep(_LOOK_EVERY_SECONDS)


def _answers(port: int) -> bool:
    connection = HTTPConnection(HOST, port, timeout=_LOOK_EVERY_SECONDS)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End processes with all that they started."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    for process in processes:
        _signal(process, signal.SIGTERM)
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
    for process in processes:
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
