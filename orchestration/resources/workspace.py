"""The workspace of one run: one retailer's lake, warehouse and ledger, held by one writer.

The resource takes the writer's lock when the run starts and gives it back when the run ends; the
kernel gives it back when the run dies. Runs that died are reaped before the first step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
from pydantic import PrivateAttr

from orchestration.environment import Environment
from orchestration.lib.progress import plain
from orchestration.lib.reaper import mark_process, reap_dead_runs
from siyu.config import Settings
from siyu.lake import Lake
from siyu.ops import Ledger
from siyu.paths import Paths
from siyu.retailer import Retailer
from siyu.warehouse import Warehouse, writer_lock

_PARTITION = "dagster/partition"
_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


class Workspace(dg.ConfigurableResource):  # type: ignore[type-arg]  # its type variable is private
    """What every step of a run shares."""

    _environment: Environment = PrivateAttr()
    _ledger: Ledger | None = PrivateAttr(None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Workspace]:
        """Hold the writer's lock for the run, and keep the run's record in the ledger."""
        self._environment, self._ledger = Environment.load(), None
        instance, run = context.instance, context.run
        if instance is None or run is None:
            yield self
            return
        if context.log is None:
            raise dg.DagsterInvariantViolationError("a run has a log")
        mark_process(instance, run.run_id)
        with writer_lock(self.paths, on_wait=context.log.warning):
            # Nobody else holds the lock, so whatever the ledger says is going on is not.
            killed = self.ledger.end_killed_runs()
            for dead in sorted({*killed, *reap_dead_runs(instance, run.run_id)}):
                context.log.warning(f"run {dead} had died; marked as failed")
            self.ledger.begin_run(run.run_id, run.job_name)
            try:
                yield self
            finally:
                failures = _failures(instance, run.run_id)
                self.ledger.end_run(
                    run.run_id, "failed" if failures else "succeeded", "; ".join(failures) or None
                )
                self.ledger.close()

    @property
    def settings(self) -> Settings:
        """Settings of the environment."""
        return self._environment.settings

    @property
    def retailer(self) -> Retailer:
        """The retailer the run is for."""
        return self._environment.retailer

    @property
    def paths(self) -> Paths:
        """Where the retailer's data lies."""
        return Paths.of(self.settings)

    @property
    def lake(self) -> Lake:
        """The lake, to read."""
        return Lake(self.paths)

    @property
    def warehouse(self) -> Warehouse:
        """The one door to tables."""
        return Warehouse.of(self.settings)

    @property
    def ledger(self) -> Ledger:
        """Versions, gate results, publications."""
        if self._ledger is None:
            self._ledger = Ledger(self.paths.ops)
        return self._ledger

    def as_of(self, context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> date:
        """The day this run works as of: the last of its partitions.

        A run without one works as of ``SIYU_AS_OF`` or the last day through which every required
        input is complete.

        Raises:
            dg.Failure: the run asks for a day its inputs are not complete through.
        """
        return self.days(context)[-1]

    def days(self, context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> list[date]:
        """The days that this run speaks of, the one it works as of last.

        Raises:
            dg.Failure: as ``as_of``.
        """
        complete = last_complete_day(self._environment)
        asked = asked_days(context.run.tags) or [self.settings.as_of or complete]
        if asked[-1] > complete:
            raise dg.Failure(
                f"asked to work as of {asked[-1]}, but the required inputs are complete only through "
                f"{complete}: land the missing days, or run as of {complete}",
                allow_retries=False,
            )
        return asked


def last_complete_day(environment: Environment) -> date:
    """The last local day through which every required input in the lake is complete.

    Raises:
        LakeError: nothing that dates a required input has landed.
    """
    today = datetime.now(ZoneInfo(environment.retailer.timezone)).date()
    return Lake(Paths.of(environment.settings)).last_complete_day(environment.retailer, today)


def asked_days(tags: Mapping[str, str]) -> list[date]:
    """Days that a run's tags ask for: its partition, or the range that a backfill names."""
    if _PARTITION in tags:
        return [date.fromisoformat(tags[_PARTITION])]
    if not all(name in tags for name in _RANGE):
        return []
    first, last = (date.fromisoformat(tags[name]) for name in _RANGE)
    return [first + timedelta(days=i) for i in range((last - first).days + 1)]


def _failures(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """One line for each step of the run that failed."""
    records = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.STEP_FAILURE, limit=20
    ).records
    found = []
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is not None:
            error = event.step_failure_data.error
            cause = error.cause if error and error.cause else error
            said = _told(cause.message.strip()) if cause else "failed"
            found.append(f"{(event.step_key or '').replace('__', '/')}: {said}")
    return found


# Whose exceptions hold no value of the data.
_OURS = ("siyu.", "ml.", "expectations.", "orchestration.")


def _told(message: str) -> str:
    """An exception's text if it was written here; of any other, which may quote data, its name."""
    name, _, text = message.partition(": ")
    if (said := plain(message)) is not None:
        return said
    if name.startswith(_OURS):
        return " ".join(text.split())
    return f"stopped by {name}; see the log of the run"
