"""WeCom: contacts, tags, groups, statistics of staff, and mass sends, as its API gives them.

An input's ``location`` names the resource. Every line of a raw file is one record in the shape of
the answer it came in, with ``pulled_at`` and what was asked for beside it; codes and fields nobody
knows yet pass through. Contacts, tags and groups can only be listed in full, so a pull reads all of
them and keeps those that changed; one that is no longer listed is kept as ``gone``.

What belongs here: WeCom's resources, paging and codes. What does not: repeating requests (``http``),
its events (``callbacks``), or what a code means (the retailer's mappings).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from siyu.ingestion.connectors.http import (
    Again,
    Answer,
    HttpClient,
    Refused,
    Session,
    Sleep,
    TokenRefused,
)
from siyu.ingestion.connectors.records import Key, Record, Seen, Sight, Step, digest, pieces
from siyu.ingestion.pull import Ask, Failed, Piece, SourceError, by_itself
from siyu.ingestion.raw import Cursor
from siyu.retailer import WecomConnection

CALLBACKS: Final = "callbacks"

_PATH: Final = "/cgi-bin"
_CONTACT: Final = f"{_PATH}/externalcontact"
_ZONE: Final = ZoneInfo("Asia/Shanghai")  # WeCom's days, whatever the retailer's are
_ADVICE: Final = {
    40013: "check corp_id",
    48002: "let the app use this API in WeCom's console, under customer contact",
    60011: "widen what the app may see in WeCom's console",
    60020: "add this machine's address to the app's trusted addresses in WeCom's console",
}
_BUSY: Final = -1
_TOKEN_CODES: Final = {40001, 40014, 42001}
_LIMIT_CODES: Final = {45009, 45033}
# Limits are counted by the minute.
_LIMIT_SECONDS: Final = 15.0
_NO_CONTACTS: Final = 84061
_UNKNOWN_STAFF: Final = {40003, 60111}
_DISMISSED: Final = 49008

# A pass over a listing that broke is gone on with; later than this, too much has moved meanwhile.
_RESUME_WITHIN: Final = timedelta(hours=12)
_STATISTICS_DAYS: Final = 180
_STATISTICS_SPAN_DAYS: Final = 30
_SENDS_SPAN_DAYS: Final = 30
# Staff confirm a mass send days after it was made, so its tasks and results change for a while.
_SETTLED_AFTER: Final = timedelta(days=7)
_CHAT_TYPES: Final = ("single", "group")

Resource = Callable[[Session, Ask, datetime], Iterator[Piece | Failed]]


def pull(
    connection: WecomConnection, asks: Sequence[Ask], now: datetime, sleep: Sleep = time.sleep
) -> Iterator[Piece | Failed]:
    """Ask WeCom for what is new of some resources.

    Args:
        connection: Where, and with which credentials.
        asks: The inputs; one for callbacks is left to the receiver.
        now: The wall clock (UTC).
        sleep: Waits so many seconds.

    Raises:
        SourceError: WeCom lets nobody in.
    """
    wanted = [ask for ask in asks if ask.source.location != CALLBACKS]
    if not wanted:
        return
    with HttpClient(connection.base_url, connection.timeout_seconds, sleep) as client:
        session = Session(client, _judge, partial(_new_token, connection))
        session.renew()
        for ask in wanted:
            resource = RESOURCES.get(ask.source.location)
            if resource is None:
                yield Failed(ask.name, _unknown(ask.source.location))
            else:
                yield from by_itself(ask, resource(session, ask, now))


def _unknown(location: str) -> SourceError:
    known = ", ".join((*RESOURCES, CALLBACKS))
    return SourceError(
        f"WeCom has no resource {location}; as location in retailer.yaml it knows {known}",
        transient=False,
    )


def _new_token(connection: WecomConnection, client: HttpClient) -> str:
    asked = {"corpid": connection.corp_id, "corpsecret": connection.secret}
    try:
        answer = client.ask("access token", f"{_PATH}/gettoken", _judge, asked)
    except TokenRefused as refused:
        reason = str(refused)
    else:
        token = answer.get("access_token")
        if isinstance(token, str) and token:
            return token
        reason = "no token in the answer"
    raise SourceError(
        f"WeCom does not accept the connection's corp_id and secret ({reason}); check both",
        transient=False,
    )


def _judge(resource: str, answer: Answer) -> None:
    """What WeCom's ``errcode`` means for whoever asked; its ``errmsg`` may quote anything."""
    code = answer.get("errcode", 0)
    if code == 0:
        return
    if not isinstance(code, int):
        raise SourceError(
            f"{resource}: WeCom answers with an errcode that is no number, so that nobody can tell "
            "whether it refuses; see whether its API has changed, and report this",
            transient=False,
        )
    said = f"errcode {code}"
    if code in _TOKEN_CODES:
        raise TokenRefused(said)
    if code in _LIMIT_CODES:
        raise Again(f"WeCom's rate limit ({said})", _LIMIT_SECONDS)
    if code == _BUSY:
        raise Again(f"WeCom is busy ({said})")
    advice = _ADVICE.get(code, "look the code up in WeCom's list of error codes")
    raise Refused(f"{resource}: WeCom refuses with {said}; {advice}", code)


def _list(resource: str, answer: Answer, field: str) -> list[Any]:
    found = answer.get(field) or []
    if not isinstance(found, list):
        raise SourceError(
            f"{resource}: {field} in the answer is no list; see whether WeCom's API has changed, "
            "and report this",
            transient=False,
        )
    return found


def _id(resource: str, record: Any, *names: str) -> str:
    """What identifies a record."""
    for name in names:
        record = record.get(name) if isinstance(record, dict) else None
    if not isinstance(record, str) or not record:
        raise SourceError(
            f"{resource}: a record in the answer has no {'.'.join(names)}; WeCom's answers have "
            "changed, which siyu.ingestion.connectors.wecom must learn",
            transient=False,
        )
    return record


def _pages(
    session: Session, resource: str, path: str, body: Mapping[str, Any], field: str
) -> Iterator[tuple[list[Any], str, Answer]]:
    """Each page of a list: its records, the cursor of the next one, and the whole answer."""
    cursor = str(body.get("cursor", ""))
    while True:
        answer = session.ask(resource, path, body={**body, "cursor": cursor})
        following = str(answer.get("next_cursor") or "")
        yield _list(resource, answer, field), following, answer
        if not following:
            return
        if following == cursor:
            raise SourceError(f"{resource}: the pages lead back to themselves", transient=True)
        cursor = following


def _staff(session: Session) -> list[str]:
    """Members of staff who may have contacts, in one order."""
    resource = "staff with customer contact"
    answer = session.ask(resource, f"{_CONTACT}/get_follow_user_list")
    return sorted({str(userid) for userid in _list(resource, answer, "follow_user")})


# --- listings --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Page:
    """Part of a listing.

    Attributes:
        records: What was read, by what identifies it.
        cursor: Where to go on after it.
        unread: First part of the keys of records that could not be read.
        warnings: What a person should know.
    """

    records: Mapping[Key, Record]
    cursor: Cursor
    unread: str = ""
    warnings: tuple[str, ...] = ()


def _listing(
    ask: Ask,
    now: datetime,
    key: Sequence[str],
    read: Callable[[Cursor], Iterator[_Page]],
    note: Callable[[Record], Record] = lambda _: {},
) -> Iterator[Piece | Failed]:
    """Read a whole listing and keep what changed.

    Args:
        ask: The input.
        now: The wall clock (UTC).
        key: Names of the parts of a record's key.
        read: Reads pages from a cursor on; their records are kept as they are.
        note: What will be wanted of a record when it is gone.
    """
    seen = Seen(ask.store)
    begun = _begun(ask.cursor, seen, now)
    this_pass = str(begun.get("pass", now.isoformat()))

    def steps() -> Iterator[Step]:
        for page in read(begun):
            sights = {
                key: Sight(digest(record), this_pass, note(record))
                for key, record in page.records.items()
            }
            changed = [
                {"pulled_at": now.isoformat(), **record}
                for key, record in page.records.items()
                if seen.changed(key, sights[key].digest)
            ]
            taken = partial(seen.mark, sights)
            if page.unread:
                taken = partial(seen.spare, page.unread, this_pass)
            yield Step(changed, {"pass": this_pass, **page.cursor}, page.warnings, taken)
        gone = seen.gone(this_pass)
        if gone and len(gone) == len(seen):
            raise SourceError(
                f"{ask.source.location}: WeCom lists none of the {len(gone)} it had; check what "
                f"the app may see, or if it is true remove {seen.NAME} from the input's raw files",
                transient=False,
            )
        yield Step(
            [
                {
                    "pulled_at": now.isoformat(),
                    "gone": {**dict(zip(key, parts, strict=True)), **sight.note},
                }
                for parts, sight in gone.items()
            ],
            {"pass": this_pass, "done": True},
            (f"{len(gone)} are no longer listed",) if gone else (),
            partial(seen.forget, gone),
        )

    yield from pieces(ask.name, steps(), seen.state)


def _begun(cursor: Cursor, seen: Seen, now: datetime) -> Cursor:
    """Where a pass that broke is to be gone on with; empty to begin anew."""
    if not cursor or "done" in cursor or dict(seen.cursor) != dict(cursor):
        return {}
    begun = datetime.fromisoformat(cursor["pass"])
    return cursor if now - begun < _RESUME_WITHIN else {}


def _external_contacts(session: Session, ask: Ask, now: datetime) -> Iterator[Piece | Failed]:
    """Contacts of each member of staff, who are asked for one by one: answers do not name them."""

    def read(begun: Cursor) -> Iterator[_Page]:
        for staff in _staff(session):
            if staff > begun.get("after", "") and staff >= begun.get("staff", ""):
                first = begun["page"] if staff == begun.get("staff") else ""
                yield from _contacts_of(session, staff, first)

    def note(record: Record) -> Record:
        follow = record["external_contact_list"][0].get("follow_info") or {}
        return {"createtime": follow.get("createtime")}

    return _listing(ask, now, ("staff_id", "external_userid"), read, note)


def _contacts_of(session: Session, staff: str, cursor: str) -> Iterator[_Page]:
    resource = "external_contacts"
    done = {"after": staff}
    body = {"userid_list": [staff], "limit": 100, "cursor": cursor}
    field = "external_contact_list"
    try:
        for records, following, answer in _pages(
            session, resource, f"{_CONTACT}/batch/get_by_user", body, field
        ):
            unlicensed = (answer.get("fail_info") or {}).get("unlicensed_userid_list")
            if unlicensed:
                yield _Page({}, done, staff, ("a member of staff without a licence is left out",))
                return
            kept: dict[Key, Record] = {
                (staff, _id(resource, record, "external_contact", "external_userid")): {
                    "staff_id": staff,
                    field: [record],
                }
                for record in records
            }
            yield _Page(kept, {"staff": staff, "page": following} if following else done)
    except Refused as refused:
        if refused.code == _NO_CONTACTS:
            yield _Page({}, done)
        elif refused.code in _UNKNOWN_STAFF:
            yield _Page({}, done, staff, ("a member of staff who has just left is left out",))
        elif cursor:  # the page of a pass that broke is not known any more
            yield from _contacts_of(session, staff, "")
        else:
            raise


def _corp_tags(session: Session, ask: Ask, now: datetime) -> Iterator[Piece | Failed]:
    """Groups of tags with their tags."""

    def read(_: Cursor) -> Iterator[_Page]:
        answer = session.ask("corp_tags", f"{_CONTACT}/get_corp_tag_list", body={})
        groups = _list("corp_tags", answer, "tag_group")
        yield _Page(
            {(_id("corp_tags", group, "group_id"),): {"tag_group": [group]} for group in groups}, {}
        )

    return _listing(ask, now, ("group_id",), read)


def _group_chats(session: Session, ask: Ask, now: datetime) -> Iterator[Piece | Failed]:
    """Groups with their members."""
    resource = "group_chats"

    def read(begun: Cursor) -> Iterator[_Page]:
        body = {"status_filter": 0, "limit": 1000}
        status = {
            _id(resource, chat, "chat_id"): chat.get("status")
            for chats, _, _ in _pages(
                session, resource, f"{_CONTACT}/groupchat/list", body, "group_chat_list"
            )
            for chat in chats
        }
        for chat_id in sorted(status):
            if chat_id <= begun.get("after", ""):
                continue
            cursor = {"after": chat_id}
            asked = {"chat_id": chat_id, "need_name": 1}
            try:
                answer = session.ask(resource, f"{_CONTACT}/groupchat/get", body=asked)
            except Refused as refused:
                if refused.code != _DISMISSED:
                    raise
                yield _Page({}, cursor)
                continue
            _id(resource, answer, "group_chat", "chat_id")
            kept = {"status": status[chat_id], "group_chat": answer["group_chat"]}
            yield _Page({(chat_id,): kept}, cursor)

    return _listing(ask, now, ("chat_id",), read)


# --- statistics ------------------------------------------------------------------------------


def _staff_statistics(session: Session, ask: Ask, now: datetime) -> Iterator[Piece | Failed]:
    """What each member of staff did on each day that is over."""
    return pieces(ask.name, _statistics(session, ask, now))


def _statistics(session: Session, ask: Ask, now: datetime) -> Iterator[Step]:
    yesterday = now.astimezone(_ZONE).date() - timedelta(days=1)
    through = (
        date.fromisoformat(ask.cursor["through"])
        if ask.cursor
        else ask.since.astimezone(_ZONE).date() - timedelta(days=1)
    )
    oldest = yesterday - timedelta(days=_STATISTICS_DAYS)
    lost = (f"WeCom no longer gives days before {oldest + timedelta(days=1)}",)
    warnings = lost if through < oldest else ()
    through = max(through, oldest)
    span = timedelta(days=min(ask.source.pull.window_days, _STATISTICS_SPAN_DAYS))
    staff = _staff(session) if through < yesterday else []
    # Only the window in which the last pull broke has members of staff who are done.
    after, until = ask.cursor.get("after", ""), ask.cursor.get("until")
    while through < yesterday:
        last = date.fromisoformat(until) if until else min(through + span, yesterday)
        for userid in staff:
            if userid > after:
                days, skipped = _days_of(session, userid, through + timedelta(days=1), last)
                records = [
                    {"pulled_at": now.isoformat(), "staff_id": userid, "behavior_data": [day]}
                    for day in days
                ]
                cursor = {"through": str(through), "until": str(last), "after": userid}
                yield Step(records, cursor, (*warnings, *skipped))
                warnings = ()
        through, after, until = last, "", None
        yield Step((), {"through": str(through)})


def _days_of(
    session: Session, staff: str, first: date, last: date
) -> tuple[list[Any], tuple[str, ...]]:
    """Statistics of a member of staff by day; for several at once WeCom gives only their sum."""
    resource = "staff_statistics"
    body = {"userid": [staff], "start_time": _midnight(first), "end_time": _midnight(last)}
    try:
        answer = session.ask(resource, f"{_CONTACT}/get_user_behavior_data", body=body)
    except Refused as refused:
        if refused.code not in _UNKNOWN_STAFF:
            raise
        return [], ("a member of staff who has just left is left out",)
    return _list(resource, answer, "behavior_data"), ()


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=_ZONE).timestamp())


# --- mass sends ------------------------------------------------------------------------------


def _mass_sends(session: Session, ask: Ask, now: datetime) -> Iterator[Piece | Failed]:
    """Mass sends, by when they were made."""

    def steps() -> Iterator[Step]:
        cursor: Cursor = {"through": _through(ask)}
        overlap = timedelta(seconds=ask.source.pull.overlap_seconds)
        for first, last in _windows(ask, now, overlap):
            for sends in _sends(session, first, last):
                records = [
                    {
                        "pulled_at": now.isoformat(),
                        "chat_type": send.chat_type,
                        "group_msg_list": [send.record],
                    }
                    for send in sends
                ]
                yield Step(records, cursor)
            cursor = {"through": last}
            yield Step((), cursor)

    return pieces(ask.name, steps())


def _mass_send_tasks(session: Session, ask: Ask, now: datetime) -> Iterator[Piece | Failed]:
    """What staff did about each mass send."""

    def read(send: _Send) -> Iterator[tuple[str, list[Record]]]:
        yield "", [_asked(send, "", "task_list", task) for task in _tasks(session, send)]

    return pieces(ask.name, _by_send(session, ask, now, read))


def _mass_send_results(session: Session, ask: Ask, now: datetime) -> Iterator[Piece | Failed]:
    """What became of each mass send for each recipient."""
    path, field = f"{_CONTACT}/get_groupmsg_send_result", "send_list"

    def read(send: _Send) -> Iterator[tuple[str, list[Record]]]:
        tasks = _tasks(session, send)
        for userid in sorted({_id("mass_send_tasks", task, "userid") for task in tasks}):
            body = {"msgid": send.msgid, "userid": userid, "limit": 500}
            pages = _pages(session, "mass_send_results", path, body, field)
            results = [result for page, _, _ in pages for result in page]
            yield userid, [_asked(send, userid, field, result) for result in results]

    return pieces(ask.name, _by_send(session, ask, now, read))


@dataclass(frozen=True)
class _Send:
    """One mass send.

    Attributes:
        chat_type: To contacts (``single``) or to groups (``group``).
        record: As WeCom lists it.
    """

    chat_type: str
    record: Record

    @property
    def msgid(self) -> str:
        return _id("mass_sends", self.record, "msgid")

    @property
    def created(self) -> int:
        """When it was made, in seconds."""
        return int(self.record.get("create_time") or 0)


def _by_send(
    session: Session,
    ask: Ask,
    now: datetime,
    read: Callable[[_Send], Iterator[tuple[str, list[Record]]]],
) -> Iterator[Step]:
    """Read something of every mass send that may still change.

    Args:
        session: WeCom.
        ask: The input.
        now: The wall clock (UTC).
        read: Yields records by member of staff, in the order of their names.
    """
    through = _through(ask)
    overlap = max(timedelta(seconds=ask.source.pull.overlap_seconds), _SETTLED_AFTER)
    sends = {
        send.msgid: send
        for first, last in _windows(ask, now, overlap)
        for page in _sends(session, first, last)
        for send in page
    }
    after = tuple(ask.cursor.get("after", ()))
    left_out: list[str] = []
    for send in sorted(sends.values(), key=lambda send: (send.created, send.msgid)):
        if (send.created, send.msgid) < after[:2]:
            continue
        try:
            for userid, records in read(send):
                if (send.created, send.msgid, userid) > after:
                    cursor = {"through": through, "after": [send.created, send.msgid, userid]}
                    yield Step([{"pulled_at": now.isoformat(), **one} for one in records], cursor)
        except Refused as refused:
            if refused.code in _ADVICE:
                raise
            left_out.append(f"a mass send is left out: {refused}")
    yield Step((), {"through": int(now.timestamp())}, tuple(left_out))


def _asked(send: _Send, userid: str, field: str, record: Any) -> Record:
    """A record beside what it was asked for with: answers do not say."""
    about = {
        name: send.record.get(name) for name in ("msgid", "creator", "create_type", "create_time")
    }
    request = {**about, "chat_type": send.chat_type, "userid": userid}
    return {"request": request, "response": {field: [record]}}


def _tasks(session: Session, send: _Send) -> list[Any]:
    path, body = f"{_CONTACT}/get_groupmsg_task", {"msgid": send.msgid, "limit": 1000}
    pages = _pages(session, "mass_send_tasks", path, body, "task_list")
    return [task for page, _, _ in pages for task in page]


def _sends(session: Session, first: int, last: int) -> Iterator[list[_Send]]:
    """Pages of the mass sends that were made between two times."""
    for chat_type in _CHAT_TYPES:
        body = {"chat_type": chat_type, "start_time": first, "end_time": last, "limit": 100}
        path = f"{_CONTACT}/get_groupmsg_list_v2"
        for page, _, _ in _pages(session, "mass_sends", path, body, "group_msg_list"):
            yield [_Send(chat_type, record) for record in page]


def _through(ask: Ask) -> int:
    """Second through which mass sends are known."""
    return int(ask.cursor.get("through", ask.since.timestamp()))


def _windows(ask: Ask, now: datetime, overlap: timedelta) -> Iterator[tuple[int, int]]:
    """Spans of seconds to ask for, from where the last pull got to, less the overlap."""
    span = int(timedelta(days=min(ask.source.pull.window_days, _SENDS_SPAN_DAYS)).total_seconds())
    end = int(now.timestamp())
    first = max(_through(ask) - int(overlap.total_seconds()), int(ask.since.timestamp()))
    while first < end:
        last = min(first + span, end)
        yield first, last
        first = last


RESOURCES: Final[Mapping[str, Resource]] = {
    "external_contacts": _external_contacts,
    "corp_tags": _corp_tags,
    "group_chats": _group_chats,
    "staff_statistics": _staff_statistics,
    "mass_sends": _mass_sends,
    "mass_send_tasks": _mass_send_tasks,
    "mass_send_results": _mass_send_results,
}
