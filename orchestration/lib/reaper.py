"""Runs that died without saying so.

A SIGKILLed run stays STARTED in Dagster for ever. Every run notes its process; a later run that
finds the process gone marks the run as failed and frees what it held.
"""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg

PROCESS_TAG = "siyu/process"


def mark_process(instance: dg.DagsterInstance, run_id: str) -> None:
    """Note which process executes a run."""
    instance.add_run_tags(run_id, {PROCESS_TAG: process_name(os.getpid())})


def process_name(pid: int) -> str:
    """A process's number and start time, so that a reused number is not taken for it."""
    return f"{pid}@{_started(pid)}"


def reap_dead_runs(instance: dg.DagsterInstance, current: str) -> list[str]:
    """Mark runs whose process is gone as failed and free their slots.

    Args:
        instance: The Dagster instance.
        current: The run that asks; never reaped.

    Returns:
        Ids of the runs reaped.
    """
    open_runs = instance.get_runs(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])
    )
    dead = [
        run
        for run in open_runs
        if run.run_id != current and PROCESS_TAG in run.tags and not _lives(run.tags[PROCESS_TAG])
    ]
    for run in dead:
        instance.report_run_failed(run, "the process that ran it is gone")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run in dead]


def _lives(name: str) -> bool:
    pid = int(name.partition("@")[0])
    return process_name(pid) == name


def _started(pid: int) -> str:
    """Start time of a process in clock ticks since boot; empty when there is none."""
    try:
        said = Path(f"/proc/{pid}/stat").read_text("ascii")
    except OSError:
        return ""
    # The command in parentheses may hold spaces; the 20th field after it is the start time.
    return said.rpartition(")")[2].split()[19]
