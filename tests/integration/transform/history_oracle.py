"""What held of a customer at a moment, read from all versions known by another, one at a time.

What belongs here: the rules of a customer's history once more, slow and plain, to hold the tables
against. What does not: rows, or what is expected of tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tiny_lake import Row

Values = tuple[str | None, str | None, str | None, str]
Rows = Mapping[str, Sequence[Row]]

NOTHING: Values = (None, None, None, "unknown")
_SPEAKS_FIRST = {"active": 0, "frozen": 2, "closed": 3}
_FORBIDS = {"denied": 3, "withdrawn": 3, "expired": 2, "granted": 1}
_CHANNELS = ("wecom", "sms", "email", "phone", "mini_program")


def read_versions(rows: Rows, moment: datetime, known_by: datetime) -> Values:
    """Tier, status, owner and marketing consent of the customer whom the rows speak of.

    Args:
        rows: Members, contacts and consents.
        moment: What held before it.
        known_by: Of what was known before it.
    """
    known = {
        entity: [row for row in found if row["_known_at"] < known_by]
        for entity, found in rows.items()
    }
    tier, status = _membership(known["members"], moment)
    return tier, status, _owner(known["contacts"], moment), _consent(known["consents"], moment)


def _by(rows: Iterable[Row], *names: str) -> Iterator[list[Row]]:
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    yield from groups.values()


def _membership(rows: Iterable[Row], moment: datetime) -> tuple[str | None, str | None]:
    changed = [row for row in rows if row["updated_at"] < moment]
    latest = [max(group, key=lambda row: row["updated_at"]) for group in _by(changed, "member_id")]
    if not latest:
        return None, None
    spoken = min(
        latest,
        key=lambda row: (_SPEAKS_FIRST[row["status"]], row["registered_at"], row["member_id"]),
    )
    return spoken["tier"], spoken["status"]


def _owner(rows: Iterable[Row], moment: datetime) -> str | None:
    alive = []
    for pair in _by(rows, "external_userid", "staff_id"):
        begun = [row for row in _periods(pair) if row["added_at"] < moment]
        last = max(begun, key=lambda row: row["added_at"], default=None)
        if last and (last["deleted_at"] is None or last["deleted_at"] >= moment):
            alive.append(last)
    alive.sort(key=lambda row: row["staff_id"])
    chosen = max(alive, key=lambda row: row["added_at"], default=None)
    return chosen["staff_id"] if chosen else None


def _periods(pair: list[Row]) -> Iterator[Row]:
    """The newest version of each beginning that no newer version corrects to an earlier one."""
    newest_first = sorted(pair, key=lambda row: row["updated_at"], reverse=True)
    seen: set[datetime] = set()
    for row in newest_first:
        if row["added_at"] not in seen and all(row["added_at"] <= begun for begun in seen):
            yield row
        seen.add(row["added_at"])


def _consent(rows: Iterable[Row], moment: datetime) -> str:
    said = [_as_of(row, moment) for row in rows if row["effective_at"] < moment]
    latest = [
        max(heard, key=_strictness_of_latest)
        for one in _by(said, "identifier")
        for channel in _CHANNELS
        if (heard := [row for row in one if row["channel"] in (channel, "all")])
    ]
    if not latest:
        return "unknown"
    strictest = max(_FORBIDS[row["status"]] for row in latest)
    found = [row for row in latest if _FORBIDS[row["status"]] == strictest]
    last = max(row["effective_at"] for row in found)
    return min(str(row["status"]) for row in found if row["effective_at"] == last)


def _as_of(row: Row, moment: datetime) -> Row:
    expires = row.get("expires_at")
    has_expired = row["status"] == "granted" and expires is not None and expires < moment
    return {**row, "status": "expired" if has_expired else row["status"]}


def _strictness_of_latest(row: Row) -> tuple[Any, ...]:
    # Of two equally strict, the first in the alphabet.
    return row["effective_at"], _FORBIDS[row["status"]], -ord(row["status"][0])
