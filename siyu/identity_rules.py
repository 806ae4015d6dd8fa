"""Manual identity rules, read from ``retailers/<name>/identity_rules.csv``.

A person who knows better than the data says there who is one customer (``link``) and who is not
(``unlink``). The file holds the rules in force; who changed it and when is in its history. It is CSV
because a rule is a line: reviewed in a diff, written in a spreadsheet, named by its number.

What belongs here: the file's form and what may stand in it. What does not: what rules do
(``siyu.identity``). No message repeats what is in a cell: it may be a phone number by mistake.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from siyu.retailer import Retailer, RetailerError

FILE = "identity_rules.csv"
COLUMNS = ("action", "identifier_a", "identifier_b", "decided_by", "decided_at", "reason")

# Direct identifiers go by their tokens.
_TOKENS = ("phone", "email")
_TOKEN = re.compile(r"[0-9a-f]{32}")
# What a reason must not hold: it is read by many, and nobody would look for people in it.
_PERSONAL = re.compile(r"[\w.+-]+@[\w-]+\.\w+|(?:\d[ -]?){8,}")

Action = Literal["link", "unlink"]


@dataclass(frozen=True)
class IdentityRule:
    """What somebody decided about two identifiers.

    Attributes:
        action: ``link``: they are one customer; ``unlink``: they are never in one, by any path.
        identifier_a: The smaller of the two.
        identifier_b: The larger.
        decided_by: Who decided.
        decided_at: When, in UTC without a zone.
        reason: Why.
    """

    action: Action
    identifier_a: str
    identifier_b: str
    decided_by: str
    decided_at: datetime
    reason: str

    @property
    def pair(self) -> tuple[str, str]:
        """Both identifiers, the smaller first."""
        return self.identifier_a, self.identifier_b


def read_rules(retailer: Retailer) -> tuple[IdentityRule, ...]:
    """The rules of a retailer, by identifiers; none where there is no file.

    Raises:
        RetailerError: the file breaks a rule of its form; the message lists every fault.
    """
    file = retailer.folder / FILE
    if not file.is_file():
        return ()
    numbered = dict(_rows(file))
    faults = [
        f"row {number}, {fault}"
        for number, row in numbered.items()
        for fault in _faults(row, retailer)
    ]
    if faults:
        raise RetailerError(f"{file}: " + "; ".join(faults))
    rules = {number: _rule(row, retailer) for number, row in numbered.items()}
    if faults := [*_repeated(rules), *_contradictory(rules)]:
        raise RetailerError(f"{file}: " + "; ".join(faults))
    return tuple(sorted(rules.values(), key=lambda rule: (rule.action, rule.pair)))


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows that are not empty, by the number of the line that they begin on."""
    try:
        # A spreadsheet begins the file with a mark of its encoding.
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.reader(opened, strict=True)
            header = tuple(name.strip() for name in next(reader, []))
            if header != COLUMNS:
                raise RetailerError(f"{file}: row 1: the columns must be {','.join(COLUMNS)}")
            before = reader.line_num
            for cells in reader:
                number, before = before + 1, reader.line_num
                if len(cells) not in (0, len(COLUMNS)):
                    raise RetailerError(
                        f"{file}: row {number}: {len(cells)} cells, not {len(COLUMNS)}; put a text "
                        "that has a comma in double quotes"
                    )
                row = dict(zip(COLUMNS, (cell.strip() for cell in cells), strict=False))
                if any(row.values()):
                    yield number, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise RetailerError(
            f"{file}: not CSV in UTF-8 ({type(error).__name__}); save it as CSV UTF-8"
        ) from None


def _faults(row: Mapping[str, str], retailer: Retailer) -> Iterator[str]:
    """What is wrong with a row by itself."""
    if row["action"] not in ("link", "unlink"):
        yield "action: write link or unlink"
    for name in ("identifier_a", "identifier_b"):
        if fault := _identifier_fault(row[name], retailer):
            yield f"{name}: {fault}"
    if row["identifier_a"] == row["identifier_b"]:
        yield "identifier_b: is identifier_a; a rule speaks of two identifiers"
    if not row["decided_by"]:
        yield "decided_by: is empty; write who decided"
    try:
        _moment(row["decided_at"], retailer.timezone)
    except (ValueError, OverflowError):
        yield "decided_at: write a day, such as 2026-03-01, or a time, such as 2026-03-01T10:30"
    if not row["reason"]:
        yield "reason: is empty; write why"
    for name in ("decided_by", "reason"):
        if _PERSONAL.search(row[name]):
            yield f"{name}: holds what looks like a phone, an e-mail or a number of a person; leave it out"


def _identifier_fault(said: str, retailer: Retailer) -> str | None:
    namespace, _, value = said.partition(":")
    if namespace in _TOKENS:
        if _TOKEN.fullmatch(value):
            return None
        return f"write the token, {namespace}: and 32 hex digits, never a {namespace} in clear"
    if namespace not in retailer.identifiers or not value:
        known = ", ".join((*retailer.identifiers, *_TOKENS))
        return f"write <namespace>:<value> with a namespace among {known}"
    return None


def _moment(said: str, timezone: str) -> datetime:
    """A day or time as UTC without a zone; a time without a zone is the retailer's."""
    moment = datetime.fromisoformat(said)
    local = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone))
    return local.astimezone(UTC).replace(tzinfo=None)


def _rule(row: Mapping[str, str], retailer: Retailer) -> IdentityRule:
    a, b = sorted((row["identifier_a"], row["identifier_b"]))
    action: Action = "link" if row["action"] == "link" else "unlink"
    decided_at = _moment(row["decided_at"], retailer.timezone)
    return IdentityRule(action, a, b, row["decided_by"], decided_at, row["reason"])


def _repeated(rules: Mapping[int, IdentityRule]) -> Iterator[str]:
    """Rows about a pair that an earlier row speaks of."""
    first: dict[tuple[str, str], int] = {}
    for number, rule in rules.items():
        earlier = first.setdefault(rule.pair, number)
        if earlier == number:
            continue
        said = "repeats" if rules[earlier].action == rule.action else "contradicts"
        yield f"row {number}, action: {said} row {earlier}, of the same identifiers; keep one of them"


def _contradictory(rules: Mapping[int, IdentityRule]) -> Iterator[str]:
    """Rows that part what a chain of links joins."""
    group: dict[str, str] = {}

    def find(name: str) -> str:
        while (above := group.get(name, name)) != name:
            name = above
        return name

    for rule in rules.values():
        if rule.action == "link":
            group[find(rule.identifier_a)] = find(rule.identifier_b)
    linked = {rule.pair for rule in rules.values() if rule.action == "link"}
    for number, rule in rules.items():
        joined = find(rule.identifier_a) == find(rule.identifier_b)
        if rule.action == "unlink" and joined and rule.pair not in linked:
            yield (
                f"row {number}, action: parts what a chain of links makes one customer; drop it or "
                "one of the links"
            )
