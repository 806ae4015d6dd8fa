"""A made-up shop whose rows change, link and unlink people, and arrive in any order.

What belongs here: the rows, their division into increments, landing one as landing would, and the
tables' content in a form that does not depend on how it came about. What does not: what is expected
of it; that is in the tests.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

from tiny_lake import LOADED, Row, Shop, at, line, order

from siyu.contracts import contract
from siyu.warehouse import Warehouse

ENTITIES = (
    "members", "contacts", "group_members", "orders", "order_lines", "refunds", "interactions",
    "messages", "consents", "points", "coupons", "feedback", "products", "stores",
)  # fmt: skip
JUNK = ("phone:nobody",)
PHONES = ("phone:a", "phone:b", "phone:c", *JUNK, None)
UNIONIDS = ("wx:1", "wx:2", "wx:3", None)
MEMBERS = ("crm:1", "crm:2", "crm:3", "crm:4", None)
OPENIDS = ("mini:1", "mini:2", None)
ORDERS = tuple(f"o{number}" for number in range(8))
PRODUCTS = ("p1", "p2", "p3")

# Of which run a row speaks, not of which customer, sale or product.
STAMPS = ("_loaded_at", "_batch_id", "_file", "_row", "updated_run_id")
# The identity events say how customers came about, and so differ with the order of arrival.
HISTORY = ("unified.identity_event",)

Landed = tuple[str, dict[str, Any]]


def rows(random: Random) -> list[Landed]:
    """Rows of every entity, some in several versions; a version's ``updated_at`` is its own."""
    made: list[Landed] = []

    def add(entity: str, versions: int, **fixed: Any) -> None:
        for number in range(random.randint(1, versions)):
            changed = at("2026-01-10 03:00") + timedelta(
                days=number, minutes=random.randrange(1000)
            )
            made.append((entity, {**fixed, **_changing(entity, random), "_known_at": changed}))
            if contract(entity).version:
                made[-1][1]["updated_at"] = changed

    when = at("2026-01-05 03:00")
    for member in MEMBERS[:4]:
        add("members", 3, member_id=member, registered_at=when)
    for number in range(3):
        add("contacts", 2, external_userid=f"wecom:{number}", staff_id="s1", added_at=when)
        add("group_members", 2, group_id="g1", userid=f"wecom:{number}", member_type="customer",
            joined_at=when)  # fmt: skip
        add("refunds", 3, refund_id=f"r{number}", currency="CNY", requested_at=when)
        add("messages", 2, message_id="m1", external_userid=f"wecom:{number}", staff_id="s1",
            channel="wecom", created_at=when)  # fmt: skip
        add("consents", 1, consent_id=f"n{number}", purpose="marketing", channel="sms",
            effective_at=when)  # fmt: skip
        add("points", 1, entry_id=f"t{number}", change=1, reason="purchase", occurred_at=when)
        add("coupons", 2, coupon_id=f"q{number}", issued_at=when)
        add("feedback", 1, feedback_id=f"f{number}", submitted_at=when)
    for order_id in ORDERS[:6]:
        add("orders", 2, **order(order_id, "2026-01-05 03:00", 10.0))
    for order_id in ORDERS:
        for number in (1, 2):
            add("order_lines", 2, **line(order_id, number, "2026-01-05 03:00", 5.0))
    for number in range(8):
        add("interactions", 1, event_id=f"e{number}", event_name="view", channel="mini_program",
            occurred_at=when)  # fmt: skip
    for product in PRODUCTS[:2]:
        add("products", 1, product_id=product, name=f"The {product}")
    add("stores", 1, store_id="shop1", name="One", type="store")
    return made


def _changing(entity: str, random: Random) -> dict[str, Any]:
    """The columns that differ between versions: above all who the row speaks of."""

    def one(values: Sequence[Any]) -> Any:
        return random.choice(values)

    known = {
        "members": lambda: {"phone_token": one(PHONES), "unionid": one(UNIONIDS),
                            "tier": one(["gold", None]), "status": one(["active", "closed"])},
        "contacts": lambda: {"unionid": one(UNIONIDS), "remark_phone_token": one(PHONES)},
        "group_members": lambda: {"unionid": one(UNIONIDS)},
        "orders": lambda: {"member_id": one(MEMBERS), "phone_token": one(PHONES),
                           "unionid": one(UNIONIDS), "status": one(["paid", "cancelled"]),
                           "store_id": one(["shop1", "shop2"])},
        "order_lines": lambda: _line(random) | {"member_id": one(MEMBERS)},
        "refunds": lambda: {"order_id": one(ORDERS), "line_no": one([1, 2]), "amount": one([1.0, 2.0]),
                            "status": one(["requested", "completed"])},
        "interactions": lambda: {"member_id": one(MEMBERS), "openid": one(OPENIDS),
                                 "unionid": one(UNIONIDS)},
        "messages": lambda: {"status": one(["unsent", "sent"])},
        "consents": lambda: {"identifier": one(PHONES[:4]), "status": one(["granted", "denied"])},
        "points": lambda: {"member_id": one(MEMBERS[:4])},
        "coupons": lambda: {"member_id": one(MEMBERS[:4])},
        "feedback": lambda: {"member_id": one(MEMBERS[:4])},
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


def increments(made: Sequence[Landed], count: int, random: Random) -> list[list[Landed]]:
    """The rows in any order, divided; each increment but the first repeats rows of earlier ones."""
    shuffled = random.sample(made, len(made))
    cuts = sorted(random.sample(range(1, len(made)), count - 1))
    parts = [
        shuffled[since:until] for since, until in zip([0, *cuts], [*cuts, len(made)], strict=True)
    ]
    return [
        [*part, *random.sample(shuffled[:since], min(5, since))]
        for part, since in zip(parts, [0, *cuts], strict=True)
    ]


def land(shop: Shop, part: Sequence[Landed], known: dict[str, list[Row]]) -> None:
    """Land an increment as landing does: exact repeats dropped, replacements of a key counted.

    The clock runs backwards: what comes later says that it landed earlier.

    Args:
        shop: Where to.
        part: The rows.
        known: What landed before, by entity; the new rows are added.
    """
    fresh: defaultdict[str, list[Row]] = defaultdict(list)
    superseding: defaultdict[str, int] = defaultdict(int)
    for entity, row in part:
        before = known.setdefault(entity, [])
        if row in before:
            continue
        key = contract(entity).key
        superseding[entity] += any(all(old[k] == row[k] for k in key) for old in before)
        before.append(row)
        fresh[entity].append(row)
    for entity, new in fresh.items():
        clock = LOADED - timedelta(hours=len(known[entity]))
        shop.land(entity, new, superseding[entity], clock)


def content(shop: Shop) -> dict[str, list[tuple[Any, ...]]]:
    """Every table of staging and unified, rows in order; a customer is its first identifier.

    Left out: run stamps and the history of the identity map.
    """
    held = shop.rows(
        "SELECT customer_id, min(identifier) AS name FROM unified.customer_identifier "
        "WHERE customer_id IS NOT NULL GROUP BY 1"
    )
    names = {row["customer_id"]: row["name"] for row in held}
    tables = shop.rows(
        "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables "
        "WHERE table_schema IN ('staging', 'unified') ORDER BY 1"
    )
    # One connection: each costs as much as a table.
    with Warehouse.of(shop.settings).connect() as connection:
        held_rows = {
            row["name"]: connection.execute(f"FROM {row['name']}").to_arrow_table().to_pylist()
            for row in tables
            if row["name"] not in HISTORY
        }
    return {
        table: sorted(
            (
                tuple(names.get(value, value) for name, value in one.items() if name not in STAMPS)
                for one in found
            ),
            key=repr,
        )
        for table, found in held_rows.items()
    }
