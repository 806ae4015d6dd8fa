"""A made-up shop whose rows change, link and unlink people, and arrive in any order.

What belongs here: the rows, their division into files, landing them, taking them in, and the tables'
content in a form that does not depend on how it came about. What does not: what is expected of it;
that is in the tests.
"""

from __future__ import annotations

import base64
import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import tiny_lake
from tiny_lake import AS_OF, LOADED, Shop, at, line, order

from siyu.contracts import contract
from siyu.identity.quality import CHANGES
from siyu.ingestion import land_entity
from siyu.retailer import Input
from siyu.transform import dbt_vars
from siyu.vault import normalise, token
from siyu.warehouse import Warehouse

ENTITIES = (
    "members", "contacts", "group_members", "orders", "order_lines", "payments", "refunds",
    "interactions", "messages", "consents", "points", "coupons", "feedback", "products", "stores",
)  # fmt: skip
NOBODYS_PHONE = "13911112222"
# Mostly none: where everybody is one customer, nobody can be merged or split.
PHONES = (*(f"1380000000{number}" for number in range(5)), NOBODYS_PHONE, None, None, None, None)
UNIONIDS = ("wx:1", "wx:2", "wx:3", "wx:4", "wx:5", None, None, None, None)
MEMBERS = ("crm:1", "crm:2", "crm:3", "crm:4", None)
OPENIDS = ("mini:1", "mini:2", None, None)
BUYERS = ("mall:1", "mall:2", None, None)
# Relationships and stays in groups end, begin again, and turn out to have begun earlier.
BEGUN = tuple(at(f"2026-01-{day} 03:00") for day in ("05", "06"))
ENDED = tuple(at(f"2026-01-{day} 03:30") for day in ("05", "07"))
ORDERS = tuple(f"o{number}" for number in range(8))
PRODUCTS = ("p1", "p2", "p3")

# Equal values have equal tokens in every shop.
KEY = bytes(range(32))
JUNK = (token(KEY, "phone", normalise("phone", NOBODYS_PHONE, "CN")),)

# An as-of day with labels that are mature by now. It has features once a refresh has asked for them.
EARLY = date(2026, 1, 25)

SCHEMAS = ("staging", "unified", "marts", "features", "ops")
# Of which run a row speaks, or what it changed, not of which customer, sale or product.
STAMPS = ("_loaded_at", "_batch_id", "batch_id", "_file", "_row", "updated_run_id", *CHANGES)
# The identity events say how customers came about, and so differ with the order of arrival; so does
# which part of a customer bore its id before they were one. Tables on the way to the features hold the
# days of the last run.
LEFT_OUT = (
    "unified.identity_event", "unified.customer_identifier_history", "features.order_as_of",
    "features.identity_as_of", "features.identity_stay", "features.feature_date",
)  # fmt: skip
_QUERIES = {
    "unified.customer_identifier": "SELECT * EXCLUDE (recorded_from) FROM {}",
    "features.customer_features": f"FROM {{}} WHERE as_of_date = '{AS_OF}'",
    # A customer of a day is the first identifier that it had on that day.
    "features.customer_labels": """
        SELECT labels.* REPLACE (held.name AS customer_id)
        FROM {} AS labels
        LEFT JOIN (
            SELECT day.as_of_date, stay.customer_id, min(stay.identifier) AS name
            FROM (SELECT DISTINCT as_of_date FROM {}) AS day
            JOIN (
                SELECT *, lag(recorded_to) OVER (PARTITION BY identifier ORDER BY recorded_from) AS since
                FROM unified.customer_identifier_history
            ) AS stay
            -- The shop is in Shanghai: a day ends at 16:00 UTC.
            ON (since IS NULL OR since < as_of_date + INTERVAL 16 HOUR)
            AND (recorded_to IS NULL OR recorded_to >= as_of_date + INTERVAL 16 HOUR)
            GROUP BY ALL
        ) AS held USING (as_of_date, customer_id)
    """,
}

Made = tuple[str, Mapping[str, Any]]


@contextmanager
def same_keys() -> Iterator[None]:
    """All shops have the same keys."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SIYU_TOKEN_KEY", "SIYU_WRAPPING_KEY"):
            patch.setenv(name, base64.b64encode(KEY).decode())
        yield


def open_shop(home: Path) -> Shop:
    """A shop that maps every entity from CSV files of its own columns."""
    made = tiny_lake.shop(home, ENTITIES)
    inputs = {}
    for entity, columns in COLUMNS.items():
        location = str(home / "files" / entity / "*.csv")
        inputs[f"{entity}_files"] = Input(format="csv", location=location)
        empty = ", ".join(f"nullif({name}, '') AS {name}" for name in columns)
        made.retailer.mappings[entity].write_text(
            f"SELECT {empty}, _known_at, _file, _row FROM {entity}_files", "utf-8"
        )
    return replace(made, retailer=made.retailer.model_copy(update={"inputs": inputs}))


def rows(random: Random) -> list[Made]:
    """Rows of every entity, some in several versions; a version's ``updated_at`` is its own.

    The first is of a customer who bought before any as-of day, and of nobody else.
    """
    made: list[Made] = []

    def add(entity: str, versions: int, since: datetime, **fixed: Any) -> None:
        # Nothing but the version tells which of two rows of one key is the newer.
        versions = versions if contract(entity).version else 1
        for number in range(random.randint(1, versions)):
            known = since + timedelta(days=5 + number, minutes=random.randrange(1000))
            stamps = {"_known_at": known} | (
                {"updated_at": known} if contract(entity).version else {}
            )
            made.append((entity, {**fixed, **_changing(entity, random), **stamps}))

    when = at("2026-01-05 03:00")
    ordered = {order_id: when + timedelta(days=6 * n) for n, order_id in enumerate(ORDERS)}
    first = order("first", str(when), 10.0, member_id="crm:0")
    made.append(("orders", {**first, "updated_at": when, "_known_at": when}))
    for member in MEMBERS[:4]:
        add("members", 3, when, member_id=member, registered_at=when)
    for number in range(3):
        external = f"wecom:{number}"
        for staff in ("s1", "s2"):
            add("contacts", 3, when, external_userid=external, staff_id=staff)
        add("group_members", 3, when, group_id="g1", userid=external, member_type="customer")
        add("refunds", 3, when, refund_id=f"r{number}", currency="CNY", requested_at=when)
        add("messages", 2, when, message_id="m1", external_userid=external, staff_id="s1",
            channel="wecom", created_at=when)  # fmt: skip
        add("consents", 1, when, consent_id=f"n{number}", purpose="marketing", effective_at=when)
        add("points", 1, when, entry_id=f"t{number}", change=1, reason="purchase",
            occurred_at=when)  # fmt: skip
        add("coupons", 2, when, coupon_id=f"q{number}", issued_at=when)
        add("feedback", 1, when, feedback_id=f"f{number}", submitted_at=when)
        # What the contacts say of the same hour was called back, for some of them.
        add("interactions", 1, when, event_id=f"c{number}", channel="wecom",
            event_name="add_external_contact", external_userid=f"wecom:{number % 2}", staff_id="s1",
            occurred_at=when + timedelta(minutes=number - 1))  # fmt: skip
    for order_id in ORDERS[:6]:
        add("orders", 2, ordered[order_id], **order(order_id, str(ordered[order_id]), 10.0))
        add("payments", 2, ordered[order_id], payment_id=f"y{order_id}", order_id=order_id,
            currency="CNY", paid_at=ordered[order_id])  # fmt: skip
    for order_id in ORDERS:
        for number in (1, 2):
            add("order_lines", 2, ordered[order_id],
                **line(order_id, number, str(ordered[order_id]), 5.0))  # fmt: skip
    for number in range(8):
        # Some are of one session, when all that lies between them has come.
        add("interactions", 1, when, event_id=f"e{number}", event_name="view",
            channel="mini_program", occurred_at=when + timedelta(minutes=25 * number))  # fmt: skip
    for product in PRODUCTS[:2]:
        add("products", 2, when, product_id=product, name=f"The {product}")
    add("stores", 1, when, store_id="shop1", name="One", type="store")
    return made


def _changing(entity: str, random: Random) -> dict[str, Any]:
    """The columns that differ between versions: above all who the row speaks of."""

    def one(values: Sequence[Any]) -> Any:
        return random.choice(values)

    known = {
        "members": lambda: {"phone": one(PHONES), "unionid": one(UNIONIDS),
                            "tier": one(["gold", None]), "status": one(["active", "closed"])},
        "contacts": lambda: {"unionid": one(UNIONIDS), "remark_phone": one(PHONES),
                             "added_at": one(BEGUN), "deleted_at": one([*ENDED, None]),
                             "deleted_by": one(["customer", "transfer"]),
                             "add_way": one(["1", "202", None]), "tags": one(["t1", "t2", None])},
        "group_members": lambda: {"unionid": one(UNIONIDS), "joined_at": one(BEGUN),
                                  "left_at": one([*ENDED, None])},
        "orders": lambda: {"member_id": one(MEMBERS), "phone": one(PHONES),
                           "unionid": one(UNIONIDS), "buyer_id": one(BUYERS),
                           "status": one(["paid", "cancelled"]),
                           "store_id": one(["shop1", "shop2"])},
        "order_lines": lambda: _line(random) | {"member_id": one(MEMBERS)},
        "payments": lambda: {"amount": one([9.0, 10.0]), "status": one(["succeeded", "failed"])},
        "refunds": lambda: {"order_id": one(ORDERS), "line_no": one([1, 2]), "amount": one([1.0, 2.0]),
                            "status": one(["requested", "completed"])},
        "interactions": lambda: {"member_id": one(MEMBERS), "openid": one(OPENIDS),
                                 "unionid": one(UNIONIDS)},
        "messages": lambda: {"status": one(["unsent", "sent"])},
        "consents": lambda: {"identifier": one([*MEMBERS[:4], *UNIONIDS[:3]]),
                             "status": one(["granted", "denied"]), "channel": one(["sms", "all"]),
                             "expires_at": one([at("2026-02-01"), at("2027-02-01"), None])},
        "points": lambda: {"member_id": one(MEMBERS[:4]), "order_id": one([*ORDERS, None])},
        "coupons": lambda: {"member_id": one(MEMBERS[:4])},
        "feedback": lambda: {"member_id": one(MEMBERS[:4])},
        "products": lambda: {"category_l1": one(["cups", "tea", None])},
    }  # fmt: skip
    return known[entity]() if entity in known else {}


def _line(random: Random) -> dict[str, Any]:
    """A line that sells or takes back one unit of some product under some description."""
    worth = random.choice([4.0, 5.0, -5.0])
    return {
        "line_type": "sale" if worth > 0 else "return",
        "product_id": random.choice(PRODUCTS),
        "description": random.choice(["Cup", "Mug", None]),
        "quantity": 1.0 if worth > 0 else -1.0,
        "gross_amount": worth,
        "net_amount": worth,
    }


def _columns() -> dict[str, list[str]]:
    """The columns of each entity's files."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for entity, row in rows(Random(0)):
        found[entity] |= dict.fromkeys(name for name in row if name != "_known_at")
    return {entity: list(names) for entity, names in found.items()}


COLUMNS = _columns()


def increments(made: Sequence[Made], count: int, replays: int, random: Random) -> list[list[Made]]:
    """The rows in any order, divided; each increment but the first repeats rows of earlier ones.

    The very first row stays in the first increment.
    """
    shuffled = [made[0], *random.sample(made[1:], len(made) - 1)]
    cuts = sorted(random.sample(range(1, len(made)), count - 1))
    parts = [
        shuffled[since:until] for since, until in zip([0, *cuts], [*cuts, len(made)], strict=True)
    ]
    return [
        [*part, *random.sample(shuffled[:since], min(replays, since))]
        for part, since in zip(parts, [0, *cuts], strict=True)
    ]


def land(shop: Shop, part: Sequence[Made]) -> None:
    """Land an increment: one more file for every entity that it has rows of.

    The clock runs backwards, so that what comes later says that it landed earlier; but not for rows
    without a version, of which the order of deliveries says which is the newest.
    """
    files: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for entity, row in part:
        files[entity].append(row)
    for entity, fresh in files.items():
        folder = shop.settings.home / "files" / entity
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.iterdir()))
        with (folder / f"{number}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [*COLUMNS[entity], "_known_at"])
            writer.writeheader()
            writer.writerows(fresh)
        hours = -number if contract(entity).version else number
        now = LOADED.replace(tzinfo=UTC) + timedelta(hours=hours)
        (report,) = land_entity(shop.settings, shop.retailer, entity, "run", now)
        if report.manifest is None:
            # A file of replays alone may be an earlier file over again.
            assert report.outcome == "unchanged", report.reason
        else:
            assert report.manifest.rows_in == len(fresh)
            assert report.manifest.quarantined == 0, entity


def refresh(shop: Shop, dates: Sequence[date] = (), **variables: Any) -> None:
    """Take in what has landed, as a refresh does; its features are of the as-of day and these."""
    asked = dbt_vars(shop.retailer, AS_OF, [*dates, AS_OF])["feature_dates"]
    shop.register()
    shop.make("tag:staging", **variables)
    shop.identify(JUNK)
    shop.register()
    shop.make(*(f"tag:{layer}" for layer in SCHEMAS[1:]), feature_dates=asked, **variables)


def content(shop: Shop) -> dict[str, list[tuple[Any, ...]]]:
    """Every table, rows in order; a customer is its first identifier.

    Left out: run stamps, the history of the identity map, and features of other days than the run's.
    """
    held = shop.rows(
        "SELECT customer_id, min(identifier) AS name FROM unified.customer_identifier "
        "WHERE customer_id IS NOT NULL GROUP BY 1"
    )
    names = {row["customer_id"]: row["name"] for row in held}
    tables = shop.rows(
        "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables "
        f"WHERE table_schema IN {SCHEMAS} ORDER BY 1"
    )
    names_of = [row["name"] for row in tables if row["name"] not in LEFT_OUT]
    queries = {table: _QUERIES.get(table, "FROM {}").replace("{}", table) for table in names_of}
    # One connection: each costs as much as a table.
    with Warehouse.of(shop.settings).connect() as connection:
        held_rows = {
            table: connection.execute(query).to_arrow_table().to_pylist()
            for table, query in queries.items()
        }
    return {
        table: sorted(
            (
                tuple(_plain(value, names) for name, value in one.items() if name not in STAMPS)
                for one in found
            ),
            key=repr,
        )
        for table, found in held_rows.items()
    }


def _plain(value: Any, names: Mapping[str, str]) -> Any:
    """A value without what depends on the order of rows: ids of customers, the last bits of sums."""
    if isinstance(value, float):
        return float(f"{value:.12g}")
    return names.get(value, value) if isinstance(value, str) else value
