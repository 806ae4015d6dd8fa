"""Asking a JSON API over HTTP: patience with what passes, and one clear error for what does not.

Tokens travel in addresses and answers hold personal data, so errors and logs name the resource that
was asked for and a code, never an address, a body or what the other side wrote about it.

What belongs here: one request and its repetition, and access tokens. What does not: what an API's
codes mean and which resources it has (``wecom``, ``mall``).
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx
import tenacity

from siyu.ingestion.pull import SourceError

Answer = Mapping[str, Any]
# Given what was asked for and what came, raises one of the exceptions of this module if it is no
# answer.
Judge = Callable[[str, Answer], None]
Sleep = Callable[[float], None]

ATTEMPTS: Final = 6
# Longer than this a pull does not wait for one request; the next one finds what is missing.
_LONGEST_WAIT_SECONDS: Final = 300.0
_BACK_OFF: Final = tenacity.wait_exponential_jitter(max=60)
_PASSING: Final = {408, 425, 429}

_log = logging.getLogger(__name__)


class Again(Exception):
    """What failed may work when it is asked again.

    Attributes:
        reason: What happened, without a value of the data.
        wait_seconds: How long to wait at least.
    """

    def __init__(self, reason: str, wait_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait_seconds = wait_seconds


class TokenRefused(Exception):
    """The access token is not, or no longer, good; the message says why the API thinks so."""


class Refused(SourceError):
    """An API understood what it was asked and says no.

    Attributes:
        code: The API's own code.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message, transient=False)
        self.code = code


class HttpClient:
    """Asks one server; usable in ``with``.

    Args:
        base_url: Where it answers; ``https`` unless it is on this machine.
        timeout_seconds: Longest wait for a connection, and for each part of an answer.
        sleep: Waits so many seconds.

    Raises:
        SourceError: the address would send credentials in clear.
    """

    def __init__(self, base_url: str, timeout_seconds: float, sleep: Sleep = time.sleep) -> None:
        address = httpx.URL(base_url)
        if address.scheme != "https" and not is_this_machine(address.host):
            raise SourceError(
                "base_url would send credentials in clear: begin it with https://", transient=False
            )
        for name in ("httpx", "httpcore"):
            _keep_addresses_out(logging.getLogger(name))
        self._http = httpx.Client(base_url=address, timeout=timeout_seconds)
        self._sleep = sleep

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(
        self,
        resource: str,
        path: str,
        judge: Judge,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Ask until there is an answer, or no hope.

        Args:
            resource: What is asked for, for messages.
            path: Where, below the base.
            judge: Says whether the answer is one.
            params: Of the address.
            body: Sent as JSON with POST; without one it is GET.

        Raises:
            SourceError: there is none; transient when it may come later.
            TokenRefused: ``judge`` says so.
        """
        patience = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Again),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            answer: Answer = patience(self._ask_once, resource, path, judge, params, body)
            return answer
        except Again as again:
            reason = again.reason
        raise SourceError(
            f"{resource}: {reason}, {ATTEMPTS} times in a row; what came before is kept, pull again "
            "later",
            transient=True,
        )

    def _ask_once(
        self,
        resource: str,
        path: str,
        judge: Judge,
        params: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
    ) -> Answer:
        answer = _answer(resource, self._send(path, params, body))
        judge(resource, answer)
        return answer

    def _send(
        self, path: str, params: Mapping[str, str] | None, body: Mapping[str, Any] | None
    ) -> httpx.Response:
        try:
            method = "GET" if body is None else "POST"
            return self._http.request(method, path, params=params, json=body)
        except httpx.TimeoutException:
            reason = "no answer in time"
        except httpx.RequestError as error:
            # Its text may hold the address, which holds the token.
            reason = f"the connection failed ({type(error).__name__})"
        raise Again(reason)


class Session:
    """An API that wants an access token, which is fetched, kept, and renewed when it is refused.

    Args:
        client: Asks the server.
        judge: Says whether an answer is one.
        new_token: Fetches a token.
    """

    def __init__(
        self, client: HttpClient, judge: Judge, new_token: Callable[[HttpClient], str]
    ) -> None:
        self._client = client
        self._judge = judge
        self._new_token = new_token
        self._token = ""

    def renew(self) -> None:
        """Fetch a new token.

        Raises:
            SourceError: there is none to be had.
        """
        self._token = self._new_token(self._client)

    def ask(
        self,
        resource: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Answer:
        """``HttpClient.ask`` with the token; a refused one is renewed once.

        Raises:
            SourceError: there is no answer, or a new token is refused as well.
        """
        reason = ""
        for is_second in (False, True):
            if is_second or not self._token:
                self.renew()
            try:
                with_token = {**(params or {}), "access_token": self._token}
                return self._client.ask(resource, path, self._judge, with_token, body)
            except TokenRefused as refused:
                reason = str(refused)
        raise SourceError(
            f"{resource}: a new access token is refused as well ({reason}); check that the "
            "connection's app may read this",
            transient=False,
        )


def _answer(resource: str, response: httpx.Response) -> Answer:
    """The JSON object of a response.

    Raises:
        Again: it may come when asked again.
        SourceError: it will not.
    """
    status = response.status_code
    if status in _PASSING or status >= 500:
        wait = _retry_after(response.headers.get("Retry-After"))
        if wait > _LONGEST_WAIT_SECONDS:
            raise SourceError(
                f"{resource}: HTTP {status}, to be asked again in {wait:.0f} seconds at the "
                "earliest; pull again then",
                transient=True,
            )
        raise Again(f"HTTP {status}", wait)
    if not response.is_success:
        raise SourceError(
            f"{resource}: HTTP {status}; check base_url and what the connection's app may read",
            transient=False,
        )
    try:
        answer = response.json()
    except ValueError:  # a body cut short, or one that is no UTF-8
        answer = None
    if not isinstance(answer, dict):
        raise Again("an answer that is no whole JSON object")
    return answer


def _wait(state: tenacity.RetryCallState) -> float:
    """Back off, and never less than was asked for."""
    error = state.outcome.exception() if state.outcome is not None else None
    least = error.wait_seconds if isinstance(error, Again) else 0.0
    seconds = least + _BACK_OFF(state)
    _log.info("%s; asking again in %.1f seconds", error, seconds)
    return seconds


def _retry_after(said: str | None) -> float:
    """Seconds that a server wants to be left alone; 0 when it does not say."""
    if not said:
        return 0.0
    if said.strip().isdecimal():
        return float(said)
    try:
        until = parsedate_to_datetime(said)
    except ValueError:
        return 0.0
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def is_this_machine(host: str) -> bool:
    """Whether what is sent to a host stays on this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _WithoutQueries(logging.Filter):
    """Takes queries out of addresses: httpx logs each one that it asks."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                part.copy_with(query=None) if isinstance(part, httpx.URL) else part
                for part in record.args
            )
        return True


_WITHOUT_QUERIES: Final = _WithoutQueries()


def _keep_addresses_out(logger: logging.Logger) -> None:
    logger.addFilter(_WITHOUT_QUERIES)  # the same filter is added once only
