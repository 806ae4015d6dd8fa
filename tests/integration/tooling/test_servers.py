"""The servers of `siyu ui` go up and down together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from siyu import servers
from siyu.config import REPO
from siyu.servers import HOST, Server, ServerEnded


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


def _answering(port: int) -> Server:
    command = (sys.executable, "-m", "http.server", "--bind", HOST, str(port))
    return Server(f"server {port}", command, port)


def _running(name: str, code: str, port: int | None = None) -> Server:
    return Server(name, (sys.executable, "-c", code), port)


def _is_taken(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex((HOST, port)) == 0


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C does what it does in a fresh process; Spark's session answers it in its own way."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_their_addresses_are_told_when_all_answer_and_ctrl_c_stops_all() -> None:
    ports = [_free_port(), _free_port()]
    answering = []

    def ready() -> None:
        answering.extend(map(_is_taken, ports))
        os.kill(os.getpid(), signal.SIGINT)

    daemon = _running("daemon", "import time; time.sleep(60)")
    servers.run([*map(_answering, ports), daemon], os.environ, ready)
    assert answering == [True, True]
    assert not any(map(_is_taken, ports))


def test_one_that_ends_stops_the_others_and_is_named() -> None:
    port = _free_port()
    started = [_answering(port), _running("MLflow", "raise SystemExit(3)", 1)]
    with pytest.raises(ServerEnded, match=r"MLflow ended with exit code 3.* is port 1 taken\?"):
        servers.run(started, os.environ, lambda: None)
    assert not _is_taken(port)


def test_sigterm_leaves_no_server_behind(tmp_path: Path) -> None:
    port = _free_port()
    code = (
        "import os; from siyu import servers; "
        f"servers.run([servers.{_answering(port)!r}], os.environ, "
        "lambda: print('ready', flush=True))"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdout is not None
        assert "ready\n" in process.stdout
        process.terminate()
        assert process.wait(30) == 0
    assert not _is_taken(port)
