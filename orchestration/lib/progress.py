"""A console logger that says what a person waiting wants to know: one line a step.

Dagster's own console logger prints every event; this one prints when a step ends, how long it took,
and warnings and errors as they come.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import dagster as dg

# How Dagster introduces a failure that a step raised on purpose, and one of a blocking check.
_INTRODUCTIONS = (
    "dagster._core.definitions.events.Failure: ",
    "dagster._core.errors.DagsterAssetCheckFailedError: ",
)
# How Dagster says that a step's inputs are missing, listing each several times.
_NOT_RUN = re.compile(r"Dependencies for step (\S+) ")


class _Progress(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        line = _line(record)
        if line:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


def _line(record: logging.LogRecord) -> str | None:
    """The line for one record, or None when it is not worth one."""
    event: Any = getattr(record, "dagster_meta", {}).get("dagster_event")
    if event is None:
        if record.levelno < logging.WARNING:
            return None
        said = str(getattr(record, "dagster_meta", {}).get("orig_message", record.getMessage()))
        skipped = _NOT_RUN.match(said)
        if skipped:
            return f"  – {skipped[1].replace('__', '/'):<40} not run"
        return f"  ! {said}"
    step = (event.step_key or "").replace("__", "/")
    if event.event_type == dg.DagsterEventType.STEP_SUCCESS:
        seconds = event.event_specific_data.duration_ms / 1000
        return f"  ✓ {step:<40} {seconds:6.1f} s"
    if event.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY:
        waits = event.step_retry_data.seconds_to_wait or 0
        return (
            f"  ↻ {step}: tries again in {waits:.0f} s\n    {_cause(event.step_retry_data.error)}"
        )
    if event.event_type == dg.DagsterEventType.STEP_FAILURE:
        return f"  ✗ {step}\n    {_cause(event.step_failure_data.error)}"
    return None


def _cause(error: Any) -> str:
    """What broke a step, in the words of whoever raised it."""
    cause = error.cause if error and error.cause else error
    return (plain(cause.message) or cause.message.strip()) if cause else ""


def plain(message: str) -> str | None:
    """What was written to be read, in one line; None for an exception of another kind."""
    for introduction in _INTRODUCTIONS:
        if message.startswith(introduction):
            return " ".join(message.removeprefix(introduction).split())
    return None


def _make(_: dg.InitLoggerContext) -> logging.Logger:
    log = logging.getLogger("siyu.progress")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    if not log.handlers:
        log.addHandler(_Progress())
    return log


progress_logger = dg.LoggerDefinition(_make, description="One line a step, warnings and errors")
