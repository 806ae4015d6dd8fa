"""Two runs at once: the second says that it waits, waits, and writes nothing until the first ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from connected_shop import PASSWORD, Shop, make_shop

from siyu.config import REPO

SCRIPT = Path(__file__).with_name("landing_process.py")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return make_shop(tmp_path)


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Landings that were begun; none outlives the test."""
    begun: list[subprocess.Popen[str]] = []
    yield begun
    for process in begun:
        process.kill()
        process.communicate()


def _begin(shop: Shop, processes: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "SIYU_RETAILERS": str(shop.folder / "retailers"),
        "SIYU_RETAILER": "corner_shop",
        "SIYU_HOME": str(shop.paths.home),
        "ROSTER": str(shop.folder / "roster"),
        "ERP_PASSWORD": PASSWORD,
        "PYTHONPATH": str(REPO),
    }
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(shop.folder)],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    processes.append(process)
    return process


def _until(stream: object, text: str) -> str:
    """Read a process's lines up to the first that holds a text; the stream's end is a failure."""
    said = []
    for line in stream:  # type: ignore[attr-defined]  # a pipe in text mode
        said.append(line)
        if text in line:
            return str(line)
    raise AssertionError(f"never said {text!r}: {''.join(said)}")


def test_the_second_run_says_that_it_waits_and_begins_when_the_first_has_ended(
    shop: Shop, processes: list[subprocess.Popen[str]]
) -> None:
    first = _begin(shop, processes)
    _until(first.stdout, "pulling")
    second = _begin(shop, processes)
    line = _until(second.stderr, "another run of corner_shop is writing")
    assert "waiting for it to end" in line
    assert len(shop.ledger.rows("SELECT * FROM run")) == 1

    for process in (first, second):
        process.communicate("go\n")
    assert (first.returncode, second.returncode) == (0, 0)
    one, other = shop.ledger.rows("SELECT * FROM run ORDER BY started_at")
    assert one["status"] == other["status"] == "succeeded"
    assert one["ended_at"] <= other["started_at"]


def test_a_killed_run_keeps_nobody_waiting(
    shop: Shop, processes: list[subprocess.Popen[str]]
) -> None:
    first = _begin(shop, processes)
    _until(first.stdout, "pulling")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second = _begin(shop, processes)
    _, complaint = second.communicate("go\n")
    assert second.returncode == 0, complaint
    assert "is writing" not in complaint
