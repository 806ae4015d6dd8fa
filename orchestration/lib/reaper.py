"""Runs that died without saying so.

A SIGKILLed run stays STARTED in Dagster for ever, and as long as it does the queue starts no other
(``max_concurrent_runs`` in dagster.yaml). Every run notes its process; whoever finds the process
gone marks the run as failed and frees what it held.

What belongs here: telling the dead from the living, and ending them. What does not: when somebody
looks (the sensor ``dead_runs``, and every run that begins).
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import dagster as dg

from siyu.ops import Ledger
from siyu.paths import Paths
from siyu.warehouse import WarehouseBusy, writer_lock

PROCESS_TAG: Final = "siyu/process"
# A run that the daemon starts notes its process as its first act: one that still has not done so after
# this long never will. As start_timeout_seconds in dagster.yaml, which watches over those before it.
START_TIMEOUT: Final = timedelta(minutes=5)


def process_tags(run_id: str) -> dict[str, str]:
    """The note that this process executes a run.

    It names the run, as a run that somebody starts again from the UI inherits the tags of the first.
    """
    return {PROCESS_TAG: f"{run_id} {process_name(os.getpid())}"}


def mark_process(instance: dg.DagsterInstance, run_id: str) -> None:
    """Note that this process executes a run."""
    instance.add_run_tags(run_id, process_tags(run_id))


def process_name(pid: int) -> str:
    """A process's number and start time, so that a reused number is not taken for it."""
    return f"{pid}@{_started(pid)}"


def end_dead_runs(instance: dg.DagsterInstance, paths: Paths) -> list[str]:
    """End every dead run where it is said to be going on: in the ledger and in Dagster.

    Returns:
        Ids of the runs ended.
    """
    # In the ledger first: what tells of a failed run asks there for the reason.
    killed = _end_in_ledger(paths)
    return sorted({*killed, *reap_dead_runs(instance)})


def _end_in_ledger(paths: Paths) -> list[str]:
    ledger = Ledger(paths.ops)
    if not ledger.open_runs():
        return []
    try:
        with writer_lock(paths, timeout=0):
            return ledger.end_killed_runs()
    except WarehouseBusy:
        # A run is at work. It ended the others when it began.
        return []


def reap_dead_runs(instance: dg.DagsterInstance, current: str = "") -> list[str]:
    """Mark runs whose process is gone as failed and free their slots.

    Args:
        instance: The Dagster instance.
        current: The run that asks; never reaped.

    Returns:
        Ids of the runs reaped.
    """
    now = datetime.now(UTC)
    open_runs = instance.get_run_records(
        dg.RunsFilter(
            statuses=[
                dg.DagsterRunStatus.NOT_STARTED,
                dg.DagsterRunStatus.STARTED,
                dg.DagsterRunStatus.CANCELING,
            ]
        )
    )
    suspects = [
        record.dagster_run
        for record in open_runs
        if record.dagster_run.run_id != current and _is_dead(record, now)
    ]
    # A process that is gone by now may have ended its run in between: then that is how it ended.
    dead = [
        run
        for suspect in suspects
        if (run := instance.get_run_by_id(suspect.run_id)) and run.status is suspect.status
    ]
    for run in dead:
        instance.report_run_failed(run, "the process that ran it is gone")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run in dead]


def _is_dead(record: dg.RunRecord, now: datetime) -> bool:
    run = record.dagster_run
    marked, _, process = run.tags.get(PROCESS_TAG, "").partition(" ")
    if marked == run.run_id:
        return not _lives(process)
    began = record.start_time or record.create_timestamp.timestamp()
    return (
        run.status is dg.DagsterRunStatus.STARTED
        and now.timestamp() - began > START_TIMEOUT.total_seconds()
    )


def _lives(name: str) -> bool:
    pid = int(name.partition("@")[0])
    return process_name(pid) == name


def _started(pid: int) -> str:
    """Start time of a process in clock ticks since boot; empty when it is gone."""
    try:
        said = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return ""
    # The command in parentheses may hold spaces; after it comes the state, and the start time is 20th.
    found = said.rpartition(")")[2].split()
    # A dead process that nobody has waited for is still listed.
    return "" if found[0] == "Z" else found[19]
