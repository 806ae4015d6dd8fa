"""An online mall with a Youzan-like API: trades by when they last changed.

Amounts stay the yuan texts they are, phones stay encrypted, times stay naive Beijing ones. A line of
a raw file is one trade as it was at ``pulled_at``; every change of a trade brings it again.

Pages move while they are read: a trade that changes leaves the window, and those behind it move up.
A window ends no later than now, so nothing can enter it; it is read from its last page to its first,
so what moves up moves to pages that are still to be read. Where the mall does not say how many there
are, the window is read again until two readings are the same. What left the window is in the next.

What belongs here: the mall's paging, windows and codes. What does not: what a trade means (the
retailer's mappings).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from siyu.ingestion.connectors.http import Answer, HttpClient, Session, Sleep, TokenRefused
from siyu.ingestion.connectors.records import Record, Step, pieces
from siyu.ingestion.pull import Ask, Failed, Piece, SourceError, by_itself
from siyu.retailer import MallConnection

TRADES: Final = "trades"

_PATH: Final = "/api/youzan.trades.sold.get/4.0.0"
_ZONE: Final = ZoneInfo("Asia/Shanghai")
_PAGE: Final = 100
_ENCRYPTED: Final = re.compile(r"\$.+\$\d+\$")
_READINGS: Final = 5

# Number of a trade, and when it last changed.
_Identity = tuple[Any, Any]


def pull(
    connection: MallConnection, asks: Sequence[Ask], now: datetime, sleep: Sleep = time.sleep
) -> Iterator[Piece | Failed]:
    """Ask a mall for the trades that changed.

    Args:
        connection: Where, and with which credentials.
        asks: The inputs, of ``location: trades``.
        now: The wall clock (UTC).
        sleep: Waits so many seconds.

    Raises:
        SourceError: the mall lets nobody in.
    """
    with HttpClient(connection.base_url, connection.timeout_seconds, sleep) as client:
        session = Session(client, _judge, partial(_new_token, connection))
        session.renew()
        for ask in asks:
            if ask.source.location == TRADES:
                yield from by_itself(ask, pieces(ask.name, _trades(session, ask, now)))
            else:
                said = f"the mall has no resource {ask.source.location}; it knows {TRADES}"
                yield Failed(ask.name, SourceError(said, transient=False))


def _new_token(connection: MallConnection, client: HttpClient) -> str:
    body = {
        "client_id": connection.client_id,
        "client_secret": connection.client_secret,
        "authorize_type": "silent",
        "grant_id": connection.shop_id,
        "refresh": False,
    }
    try:
        answer = client.ask("access token", "/auth/token", _judge, body=body)
    except TokenRefused as refused:
        reason = str(refused)
    else:
        data = answer.get("data")
        token = data.get("access_token") if isinstance(data, dict) else None
        if isinstance(token, str) and token:
            return token
        reason = "no token in the answer"
    raise SourceError(
        f"the mall does not accept the connection's client_id and client_secret for shop_id "
        f"({reason}); check all three",
        transient=False,
    )


def _judge(resource: str, answer: Answer) -> None:
    """What the mall's codes mean for whoever asked; its messages may quote anything.

    The gateway refuses before the API is reached, mostly for the token's sake, so every refusal of
    its is met with a new token once.
    """
    for field in ("gw_err_resp", "error_response"):
        error = answer.get(field)
        if error:
            raise TokenRefused(f"gateway code {_code(error, 'err_code', 'code')}")
    if answer.get("success") is False or answer.get("code", 200) not in (0, 200):
        raise SourceError(
            f"{resource}: the mall refuses with code {_code(answer, 'code')}; look the code up in "
            "its list of error codes",
            transient=False,
        )


def _code(error: Any, *names: str) -> str:
    """A numeric code; anything else might be a text that quotes the data."""
    found = None
    if isinstance(error, Mapping):
        found = next((error[name] for name in names if name in error), None)
    return str(found) if re.fullmatch(r"-?\d{1,12}", str(found)) else "unknown"


def _trades(session: Session, ask: Ask, now: datetime) -> Iterator[Step]:
    trades = encrypted = 0
    through = _moment(ask.cursor.get("through"), ask.since)
    cursor = {"through": f"{through:%F %T}"}
    first = max(
        through - timedelta(seconds=ask.source.pull.overlap_seconds), _moment(None, ask.since)
    )
    end = now.astimezone(_ZONE).replace(tzinfo=None, microsecond=0)
    while first < end:
        last = min(first + timedelta(days=ask.source.pull.window_days), end)
        for page in _window(session, first, last):
            trades += len(page)
            encrypted += sum(map(_has_encrypted_phone, page))
            yield Step([{"pulled_at": now.isoformat(), **trade} for trade in page], cursor)
        first, cursor = last, {"through": f"{last:%F %T}"}
        yield Step((), cursor)
    if encrypted:
        yield Step((), cursor, (f"{encrypted} of {trades} trades have an encrypted phone",))


def _moment(said: str | None, otherwise: datetime) -> datetime:
    """A time on the mall's clock."""
    if said is not None:
        return datetime.fromisoformat(said)
    return otherwise.astimezone(_ZONE).replace(tzinfo=None, microsecond=0)


def _window(session: Session, first: datetime, last: datetime) -> Iterator[list[Record]]:
    """Pages of the trades that last changed between two times, none of them missing."""
    page, total, has_next = _page(session, first, last, 1)
    if total is None:
        if has_next:
            yield from _until_it_holds_still(session, first, last)
        else:
            yield page
        return
    if total <= len(page):
        yield page
        return
    if not page:
        raise SourceError(f"{TRADES}: {total} trades and none on the first page", transient=True)
    # As many as the mall puts on a page, whatever was asked for; the first comes last, once more,
    # as some of the others may have moved to it.
    for number in range(-(-total // len(page)), 0, -1):
        yield _page(session, first, last, number)[0]


def _until_it_holds_still(
    session: Session, first: datetime, last: datetime
) -> Iterator[list[Record]]:
    """Read a window of unknown size until two readings are the same.

    A trade can only be missed when one that was read before it leaves; the next reading then lacks
    that one. So when two are the same, the earlier missed none.
    """
    known: set[_Identity] = set()
    before: set[_Identity] | None = None
    for _ in range(_READINGS):
        read: set[_Identity] = set()
        number, has_next = 0, True
        while has_next:
            number += 1
            page, _, has_next = _page(session, first, last, number)
            yield [trade for trade in page if _identity(trade) not in known]
            read.update(map(_identity, page))
            known |= read
        if read == before or number == 1:
            return
        before = read
    raise SourceError(
        f"{TRADES}: the window from {first:%F %T} to {last:%F %T} does not hold still; make "
        "pull.window_days smaller, or pull when the mall is quiet",
        transient=True,
    )


def _page(
    session: Session, first: datetime, last: datetime, number: int
) -> tuple[list[Record], int | None, bool]:
    """A page of trades, how many there are in all where the mall says, and whether more follow."""
    body = {
        "start_update": f"{first:%F %T}",
        "end_update": f"{last:%F %T}",
        "page_no": number,
        "page_size": _PAGE,
    }
    answer = session.ask(TRADES, _PATH, body=body)
    data = answer.get("data") or answer.get("response") or {}
    trades = data.get("full_order_info_list") or []
    if not isinstance(trades, list):
        raise SourceError(
            f"{TRADES}: the answer holds no list of trades; see whether the mall's API has changed, "
            "and report this",
            transient=False,
        )
    total = data.get("total_results")
    has_next = bool(data.get("has_next", len(trades) == _PAGE))
    return trades, None if total is None else int(total), has_next


def _info(trade: Record, part: str) -> Mapping[str, Any]:
    return (trade.get("full_order_info") or {}).get(part) or {}


def _identity(trade: Record) -> _Identity:
    """What tells one version of a trade from another."""
    order = _info(trade, "order_info")
    return order.get("tid"), order.get("update_time")


def _has_encrypted_phone(trade: Record) -> bool:
    phone = _info(trade, "buyer_info").get("buyer_phone")
    return isinstance(phone, str) and _ENCRYPTED.fullmatch(phone) is not None
