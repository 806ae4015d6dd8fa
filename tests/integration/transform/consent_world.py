"""Made-up customers, what they said, and the rule's own SQL run on that, without a warehouse.

What belongs here: the SQL as dbt compiled it, tables in memory for it to read, and the same question
answered in plain Python. What does not: what is expected; that is in the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, TypeVar

import duckdb
from tiny_lake import AS_OF, Shop

from siyu.transform import end_of_day

NOW = end_of_day(AS_OF, "Asia/Shanghai")
REFUSALS = ("denied", "withdrawn", "expired")


def day(number: float) -> datetime:
    """A moment so many days before (or, when negative, after) the end of the as-of day."""
    return NOW - timedelta(days=number)


@dataclass(frozen=True)
class Said:
    """One version of a statement, known when it took effect unless said otherwise."""

    identifier: str
    status: str
    effective_at: datetime
    channel: str = "sms"
    purpose: str = "marketing"
    expires_at: datetime | None = None
    known_at: datetime | None = None
    consent_id: str = ""

    @property
    def known(self) -> datetime:
        return self.known_at or self.effective_at


@dataclass(frozen=True)
class Contact:
    """One version of a WeCom relationship."""

    external_userid: str
    staff_id: str
    added_at: datetime
    deleted_at: datetime | None = None
    deleted_by: str | None = None
    known_at: datetime | None = None

    @property
    def known(self) -> datetime:
        return self.known_at or self.deleted_at or self.added_at


Version = TypeVar("Version", Said, Contact)


@dataclass
class World:
    """Who is who, and what they said and did, as far as it has landed.

    Attributes:
        held: Customer by identifier, such as ``crm:1``; None for junk.
        said: Statements. Versions of one have the same ``consent_id``; without one each is its own.
        contacts: Versions of WeCom relationships.
    """

    held: Mapping[str, str | None]
    said: Sequence[Said] = ()
    contacts: Sequence[Contact] = ()


class Rule:
    """The compiled rule, asked about worlds."""

    def __init__(self, built: Shop) -> None:
        """Take the rule from a shop whose unified layer was built whole."""
        folder = built.paths.dbt / "duckdb" / "compiled" / "siyu" / "models" / "unified"
        self._now = (folder / "customer" / "contactability.sql").read_text("utf-8")
        (macro,) = built.rows(
            "SELECT macro_definition AS sql FROM duckdb_functions() "
            "WHERE function_name = 'contactability_as_of'"
        )
        self._connection = duckdb.connect()
        self._connection.execute(
            "SET TimeZone = 'UTC'; ATTACH ':memory:' AS siyu; USE siyu; CREATE SCHEMA unified; "
            "CREATE SCHEMA lake; CREATE SCHEMA staging"
        )
        for table, columns in _TABLES.items():
            self._connection.execute(f"CREATE TABLE {table} ({columns})")
        self._connection.execute(
            "CREATE MACRO unified.contactability_as_of(as_of_day, known_day) AS TABLE "
            + macro["sql"]
        )

    def now(self, world: World) -> dict[tuple[str, str, str], dict[str, Any]]:
        """Rows of unified.contactability by customer, channel and purpose."""
        return self._ask(world, self._now)

    def as_of(
        self, world: World, as_of: date, known: date
    ) -> dict[tuple[str, str, str], dict[str, Any]]:
        """Rows as of the end of a day, by what was known at the end of another."""
        return self._ask(
            world, f"FROM unified.contactability_as_of(DATE '{as_of}', DATE '{known}')"
        )

    def _ask(self, world: World, sql: str) -> dict[tuple[str, str, str], dict[str, Any]]:
        for table, rows in _rows(world).items():
            self._connection.execute(f"DELETE FROM {table}")
            if rows:
                # One statement: row by row takes seven times as long.
                row = f"({', '.join('?' * len(rows[0]))})"
                self._connection.execute(
                    f"INSERT INTO {table} VALUES {', '.join([row] * len(rows))}",
                    [value for one in rows for value in one],
                )
        found = self._connection.execute(sql).to_arrow_table().to_pylist()
        return {(row["customer_id"], row["channel"], row["purpose"]): row for row in found}


_TABLES = {
    "unified.customer_identifier": "customer_id VARCHAR, identifier VARCHAR, namespace VARCHAR",
    "unified.fct_consent": "consent_id VARCHAR, version_no BIGINT, identifier VARCHAR, "
    "purpose VARCHAR, channel VARCHAR, status VARCHAR, effective_at TIMESTAMP, "
    "expires_at TIMESTAMP, _known_at TIMESTAMP, superseded_at TIMESTAMP",
    "lake.contacts": "external_userid VARCHAR, staff_id VARCHAR, added_at TIMESTAMP, "
    "deleted_at TIMESTAMP, deleted_by VARCHAR, _known_at TIMESTAMP, _batch_id VARCHAR, "
    "_file VARCHAR, _row BIGINT",
    "staging.superseded_row": "entity VARCHAR, row_key VARCHAR, _batch_id VARCHAR, _file VARCHAR, "
    "_row BIGINT, superseded_at TIMESTAMP",
}


def _rows(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """What the tables that the rule reads would hold."""
    contacts, superseded = [], []
    keys = {(one.external_userid, one.staff_id) for one in world.contacts}
    number = 0
    for key in sorted(keys):
        versions = _versions(c for c in world.contacts if (c.external_userid, c.staff_id) == key)
        for _, contact, superseded_at in versions:
            number += 1
            place = ("b", "f", number)
            contacts.append(
                (
                    *key,
                    contact.added_at,
                    contact.deleted_at,
                    contact.deleted_by,
                    contact.known,
                    *place,
                )
            )
            if superseded_at:
                superseded.append(("contacts", "|".join(key), *place, superseded_at))
    return {
        "unified.customer_identifier": [
            (customer, name, name.partition(":")[0])
            for name, customer in world.held.items()
        ],
        "unified.fct_consent": [
            (consent_id, version_no, said.identifier, said.purpose, said.channel, said.status,
             said.effective_at, said.expires_at, said.known, superseded_at)
            for consent_id, version_no, said, superseded_at in ledger(world.said)
        ],
        "lake.contacts": contacts,
        "staging.superseded_row": superseded,
    }  # fmt: skip


def ledger(said: Iterable[Said]) -> list[tuple[str, int, Said, datetime | None]]:
    """Statements as the ledger holds them: id, version, statement, when a newer one was known."""
    by_id: dict[str, list[Said]] = {}
    for number, one in enumerate(said):
        by_id.setdefault(one.consent_id or f"own-{number}", []).append(one)
    return [
        (consent_id, *version)
        for consent_id, versions in by_id.items()
        for version in _versions(versions)
    ]


def _versions(versions: Iterable[Version]) -> list[tuple[int, Version, datetime | None]]:
    """Versions of one key in the order in which they became known, numbered from 1."""
    ordered = sorted(versions, key=lambda version: version.known)
    until = [version.known for version in ordered[1:]]
    return list(zip(range(1, len(ordered) + 1), ordered, [*until, None], strict=True))


def may_contact(
    world: World,
    customer: str,
    as_of: datetime,
    refused_by: datetime | None = None,
    known_by: datetime | None = None,
) -> bool:
    """Whether marketing may go out as a text message, in plain Python.

    Somebody who holds an identifier that can be reached said yes, and each no that any of their
    identifiers ever said was followed by a yes of that same identifier.
    """
    mine = [name for name, holder in world.held.items() if holder == customer]
    if not any(name.startswith("phone:") for name in mine):
        return False
    known = [
        (said, until)
        for _, _, said, until in ledger(world.said)
        if said.identifier in mine
        and said.channel in ("sms", "all")
        and (known_by is None or said.known < known_by)
    ]
    begun = [
        said
        for said, until in known
        if said.status == "granted"
        and said.effective_at < as_of
        and (until is None or (known_by is not None and until >= known_by))
    ]
    yes = [said for said in begun if said.expires_at is None or said.expires_at > as_of]
    no = [said for said in begun if said not in yes] + [
        said
        for said, _ in known
        if said.status in REFUSALS
        and (refused_by is None or min(said.effective_at, said.known) < refused_by)
    ]
    unanswered = [
        refusal
        for refusal in no
        if refusal.purpose in ("marketing", "data_use")
        and not any(
            (grant.identifier, grant.purpose) == (refusal.identifier, refusal.purpose)
            and grant.effective_at > refusal.effective_at
            for grant in yes
        )
    ]
    return not unanswered and any(said.purpose == "marketing" for said in yes)


PEOPLE = range(12)


def made_up_statements(random: Random) -> list[Said]:
    """Some statements of each of a dozen people, in no order: few days, so that many meet."""
    made = []
    for person in PEOPLE:
        for number in range(random.randint(1, 7)):
            effective = random.randint(-2, 6)
            known = effective - random.choice([0, 0, 1, 3]) - random.random() / 100
            lasts = random.choice([None, None, 1, 2, 4])
            made.append(
                Said(
                    identifier=random.choice([f"crm:{person}", f"crm:{person}", f"phone:{person}"]),
                    status=random.choice(["granted", "granted", "granted", *REFUSALS]),
                    effective_at=day(effective),
                    channel=random.choice(["sms", "sms", "all", "email"]),
                    purpose=random.choice([*["marketing"] * 6, "data_use", "service"]),
                    expires_at=None if lasts is None else day(effective - lasts),
                    known_at=day(known),
                    consent_id=f"{person}-{random.choice([number, number, 0])}",
                )
            )
    random.shuffle(made)
    return made


def made_up_holders(random: Random) -> dict[str, str | None]:
    """Who holds the identifiers: mostly each person both of theirs, sometimes somebody else's."""
    return {
        f"{kind}:{person}": random.choice(
            [*[f"c{person}"] * 8, f"c{random.choice(PEOPLE)}", *([None] if kind == "crm" else [])]
        )
        for person in PEOPLE
        for kind in ("crm", "phone")
    }
