"""Alerts: one message a run, to the log and to a webhook, when somebody should look or need not any more.

What belongs here: what an alert says, and sending it. What does not: when a run has ended and who
noticed (``orchestration``), or why a table blocks (``siyu.ops``). An alert names tables, rules and
counts; no value of the data is in it.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_base, wait_exponential

from siyu.ops import Ledger

WEBHOOK: Final = "SIYU_ALERT_WEBHOOK"
Severity = Literal["ERROR", "WARN", "INFO"]

_LOG = logging.getLogger("siyu.alerts")
_LEVELS: Final[Mapping[str, int]] = {
    "ERROR": logging.ERROR, "WARN": logging.WARNING, "INFO": logging.INFO,
}  # fmt: skip
_TIMEOUT_SECONDS: Final = 5
_ATTEMPTS: Final = 3
_WAIT: wait_base = wait_exponential(multiplier=0.5, max=4)
_RULES: Final = 20
_LONGEST: Final = 600
# Messages are written to hold none of these; what slipped into one must not leave the machine.
_PERSONAL = re.compile(r"[\w.+\-]+@[\w\-]+(?:\.[\w\-]+)+|\+?\d[\d ]{6,}\d")


@dataclass(frozen=True)
class FailedRule:
    """A rule that a table broke.

    Attributes:
        table: ``schema.table``.
        rule: ``gate:rule``.
        severity: ``ERROR`` stops what is below, ``WARN`` does not.
        rows: Rows that broke it, where it counts rows.
    """

    table: str
    rule: str
    severity: Literal["ERROR", "WARN"]
    rows: int | None


@dataclass(frozen=True)
class Alert:
    """What happened in one run.

    Attributes:
        severity: ``ERROR`` when the run failed, ``WARN`` when it went on though a rule was broken,
            ``INFO`` when it succeeded after one that failed.
        retailer: Whose data.
        job: What ran.
        run_id: The run.
        what: What happened, in a sentence or two.
        failed_rules: Rules that were broken, those that stop first.
        omitted_rules: How many more there were.
        what_to_do: The next step for a person.
    """

    severity: Severity
    retailer: str
    job: str
    run_id: str
    what: str
    failed_rules: tuple[FailedRule, ...] = ()
    omitted_rules: int = 0
    what_to_do: str = ""

    @property
    def text(self) -> str:
        """All of it in one line, for a log or a chat."""
        rules = [
            f"{each.table} {each.rule}" + (f" ({each.rows} rows)" if each.rows else "")
            for each in self.failed_rules
        ]
        rules += [f"{self.omitted_rules} more"] if self.omitted_rules else []
        parts = [
            f"[{self.severity}] {self.retailer}: {self.what}",
            f"failed rules: {', '.join(rules)}" if rules else "",
            self.what_to_do,
            f"run {self.run_id}",
        ]
        return " | ".join(part for part in parts if part)


def run_alert(
    ledger: Ledger, retailer: str, job: str, run_id: str, *, succeeded: bool, recovered: bool
) -> Alert | None:
    """What is to be said of a run that has ended; None when there is nothing.

    Args:
        ledger: The retailer's.
        retailer: Its name.
        job: What ran.
        run_id: The run.
        succeeded: Whether it did.
        recovered: Whether the run of the job before it had failed.
    """
    failed = _failed_rules(ledger, run_id, blocking_too=not succeeded)
    shown, omitted = failed[:_RULES], max(len(failed) - _RULES, 0)
    if not succeeded:
        return Alert(
            "ERROR", retailer, job, run_id, _why(ledger, job, run_id), shown, omitted,
            _remedies(ledger),
        )  # fmt: skip
    if failed:
        said = f"{job} went on, though {len(failed)} rules were broken"
        said += "; it had failed before" if recovered else ""
        return Alert(
            "WARN", retailer, job, run_id, said, shown, omitted,
            "see the checks of these tables; nothing is stopped",
        )  # fmt: skip
    if recovered:
        return Alert("INFO", retailer, job, run_id, f"{job} succeeds again")
    return None


def send(alert: Alert, env: Mapping[str, str] | None = None) -> bool:
    """Say an alert in the log and, where ``SIYU_ALERT_WEBHOOK`` names an address, send it there.

    Never raises: what alerts about a run must not break it.

    Returns:
        Whether a webhook took it.
    """
    _LOG.log(_LEVELS[alert.severity], alert.text)
    url = (os.environ if env is None else env).get(WEBHOOK)
    if not url:
        return False
    try:
        _post(url, {**asdict(alert), "text": alert.text})
    except Exception as error:  # neither its text nor the address: both may hold a key
        cause = error.last_attempt.exception() if isinstance(error, RetryError) else error
        _LOG.warning("the alert could not be sent to %s (%s)", WEBHOOK, _named(cause))
        return False
    return True


class _Again(Exception):
    """The webhook could not take it now; the argument is the status."""


def _post(url: str, body: Mapping[str, Any]) -> None:
    import httpx  # a tenth of a second that most runs need not spend

    for attempt in Retrying(
        stop=stop_after_attempt(_ATTEMPTS),
        wait=_WAIT,
        retry=retry_if_exception_type((httpx.TransportError, _Again)),
    ):
        with attempt:
            answer = httpx.post(url, json=body, timeout=_TIMEOUT_SECONDS)
            if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error:
                raise _Again(answer.status_code)
            answer.raise_for_status()


def _named(error: BaseException | None) -> str:
    if isinstance(error, _Again):
        return f"HTTP {error.args[0]}"
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"HTTP {status}" if status else type(error).__name__


def _why(ledger: Ledger, job: str, run_id: str) -> str:
    """What the ledger noted of a run that failed."""
    noted = ledger.rows("SELECT status, error FROM run WHERE run_id = ?", [run_id])
    if not noted:
        return f"{job} failed before its first step"
    # Of a run that failed and did not say so, the process was killed.
    if noted[0]["status"] in ("started", "killed"):
        return f"{job} was killed"
    said = noted[0]["error"]
    return f"{job} failed: {_clean(str(said))}" if said else f"{job} failed"


def _failed_rules(ledger: Ledger, run_id: str, *, blocking_too: bool) -> tuple[FailedRule, ...]:
    """Rules broken in a run and, where asked for, those that were broken before and still block."""
    found = {
        (row["table_name"], f"{row['gate']}:{row['rule']}"): FailedRule(
            row["table_name"], f"{row['gate']}:{row['rule']}", row["severity"], row["failed_count"]
        )
        for row in ledger.rows(
            "SELECT * FROM gate_result WHERE run_id = ? AND outcome <> 'passed'", [run_id]
        )
    }
    for block in ledger.blocks(ledger.all_tables()) if blocking_too else ():
        for result in block.results:
            rule = f"{result.gate}:{result.rule}"
            standing = FailedRule(block.table, rule, result.severity, result.failed_count)
            found.setdefault((block.table, rule), standing)
    return tuple(sorted(found.values(), key=lambda each: (each.severity, each.table, each.rule)))


def _remedies(ledger: Ledger) -> str:
    blocks = ledger.blocks(ledger.all_tables())
    remedies: Sequence[str] = list(dict.fromkeys(block.remedy for block in blocks if block.results))
    return "; ".join((*remedies, "`siyu status` says what blocks"))


def _clean(text: str) -> str:
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return _PERSONAL.sub("▮", short)
