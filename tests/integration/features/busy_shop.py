"""A shop in which much arrives late or changes later, and what the tests do to it.

What belongs here: its rows, drawn at random from a fixed seed with a few customers written by hand,
and the steps to build it. What does not: what its features should be; that is in the tests.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import tiny_lake
from tiny_lake import AS_OF, Shop, at, line, order

from siyu.contracts import contracts
from siyu.lake import Lake
from siyu.transform import DbtRun, dbt_vars, end_of_day, run_dbt
from siyu.warehouse import Warehouse

# Before any interaction; in the middle of all that changes later; the as-of day itself.
EARLY, MIDDLE, LATE = date(2026, 1, 6), date(2026, 1, 31), AS_OF
MODELS = {
    "churn": {"horizon_days": 14, "lead_days": 7, "active_days": 20},
    "repurchase": {"horizon_days": 21, "lead_days": 0, "active_days": None},
}
STAFF = "crm:30"
MAPPED = (
    "members", "contacts", "products", "orders", "order_lines", "refunds", "interactions",
    "messages", "consents", "points", "coupons", "staff",
)  # fmt: skip

Row = dict[str, Any]


class FeatureShop(Shop):
    """A shop whose features are built for given dates."""

    def features(self, day: date) -> list[Row]:
        """The features of one date, in order."""
        return self.rows(
            "SELECT * FROM features.customer_features "
            f"WHERE as_of_date = DATE '{day}' ORDER BY customer_id"
        )

    def customer(self, day: date, identifier: str) -> Row:
        """The features of one customer."""
        (found,) = self.rows(
            "SELECT f.* FROM features.customer_features f "
            "JOIN unified.customer_identifier i USING (customer_id) "
            f"WHERE i.identifier = '{identifier}' AND f.as_of_date = DATE '{day}'"
        )
        return found

    def run(self, *select: str, dates: Sequence[date] = ()) -> DbtRun:
        """Run the models selected, for the feature dates given."""
        variables = dbt_vars(self.retailer, AS_OF, dates) | {"models": MODELS}
        run = run_dbt(self.settings, ["build", "--select", *select], variables)
        assert run.success, [r for r in run.results if r.status in ("error", "fail")]
        return run

    def build_all(self) -> None:
        """Everything from the lake to the features of three dates."""
        self.register()
        self.resolve()
        self.run(
            "+customer_features", "+customer_labels", "tag:features", dates=[EARLY, MIDDLE, LATE]
        )

    def resolve(self) -> None:
        """Who is who, by what the lake shows now."""
        self.run("+stg_identity_edge", "+stg_identifier")
        self.identify()
        self.register()

    def rebuild(self, *dates: date) -> None:
        """The features of some dates from what the lake shows now, identity as it is."""
        self.run("+customer_features", dates=dates)

    def copy(self, home: Path) -> FeatureShop:
        """The same shop under another folder, to be changed."""
        shutil.copytree(self.settings.home, home, dirs_exist_ok=True)
        return FeatureShop(replace(self.settings, home=home), self.retailer)

    def forget_after(self, day: date) -> None:
        """Let the lake show only what had happened and arrived by the end of a day."""
        end = end_of_day(day, self.retailer.timezone)
        with Warehouse.of(self.settings).connect(read_only=False) as connection:
            for entity in contracts():
                connection.execute(
                    f"CREATE OR REPLACE VIEW lake.{entity} AS "
                    f"SELECT * FROM ({Lake(self.paths).query(entity)}) "
                    f"WHERE _known_at < '{end}' AND (_event_at IS NULL OR _event_at < '{end}')"
                )
            # No batch was retracted, so tables would believe that they hold them all: start over.
            connection.execute("DROP SCHEMA IF EXISTS applied CASCADE")


def busy_shop(home: Path) -> FeatureShop:
    """Land the rows; nothing is built yet."""
    base = tiny_lake.shop(home, MAPPED)
    made = FeatureShop(base.settings, base.retailer)
    draw = random.Random(7)
    people = range(1, 31)
    made.land(
        "members",
        [*(_member(n, draw) for n in people), *(_member(n, draw) for n in (90, 91)),
         {"member_id": "crm:95", "registered_at": at("2026-01-03 03:00")}],
    )  # fmt: skip
    made.land(
        "products",
        [
            {"product_id": f"p{n}", "category_l1": f"c{n % 3}", "_known_at": at("2026-01-01 00:00")}
            for n in range(6)
        ],
    )
    _land_versions(made, "contacts", [_contact(n, draw) for n in people])
    bought = [_order(f"o{n}-{k}", n, draw) for n in people for k in range(draw.randint(0, 7))]
    _land_versions(made, "orders", [*bought, *([row] for row in _written_orders())])
    lines = [_line(versions[0], draw) for versions in bought]
    alone = [_lines_alone(f"h{n}", n, draw) for n in people for _ in range(draw.randint(0, 1))]
    _land_versions(made, "order_lines", [*lines, *(row for rows in alone for row in rows)])
    _land_versions(
        made,
        "refunds",
        [_refund(versions[0], draw) for versions in bought if draw.random() < 0.3]
        + [_written_refund()],
    )
    _land_versions(
        made,
        "interactions",
        [_event(f"e{n}-{k}", n, draw) for n in people for k in range(draw.randint(0, 12))],
    )
    _land_versions(made, "messages", [_message(n, draw) for n in people if n % 2])
    _land_versions(made, "coupons", [_coupon(n, draw) for n in people])
    made.land("points", [_points(n, k, draw) for n in people for k in range(draw.randint(0, 4))])
    made.land("consents", [_consent(n, draw) for n in people if n % 4 == 0])
    # One of them works here, from before the first of all days.
    started = at("2025-12-31 00:00")
    made.land(
        "staff",
        [{"staff_id": "s9", "member_id": STAFF, "hired_on": started.date(), "_known_at": started}],
    )
    return made


def _land_versions(made: Shop, entity: str, rows: Sequence[Sequence[Row]]) -> None:
    """First versions in one batch, later ones in batches of their own."""
    for number in range(max(map(len, rows))):
        batch = [versions[number] for versions in rows if len(versions) > number]
        made.land(entity, batch, superseding=len(batch) if number else 0)


def _moment(draw: random.Random, first: str, last: str) -> datetime:
    span = at(f"{last} 00:00") - at(f"{first} 00:00")
    return at(f"{first} 00:00") + timedelta(minutes=draw.randrange(int(span.total_seconds() // 60)))


def _later(draw: random.Random, moment: datetime, days: float) -> datetime:
    return moment + timedelta(minutes=draw.randrange(1, int(days * 1440)))


def _member(n: int, draw: random.Random) -> Row:
    registered = _moment(draw, "2026-01-01", "2026-01-20")
    return {"member_id": f"crm:{n}", "unionid": f"wx:{n}", "openid": f"mini:{n}",
            "registered_at": registered, "_known_at": _later(draw, registered, 2)}  # fmt: skip


def _contact(n: int, draw: random.Random) -> list[Row]:
    added = _moment(draw, "2026-01-05", "2026-02-10")
    first = {"external_userid": f"wecom:{n}", "staff_id": "s1", "unionid": f"wx:{n}",
             "added_at": added, "updated_at": added}  # fmt: skip
    if draw.random() < 0.5:
        return [first]
    ended = _later(draw, added, 30)
    return [first, {**first, "deleted_at": ended, "updated_at": ended,
                    "_known_at": _later(draw, ended, 3)}]  # fmt: skip


def _order(order_id: str, n: int, draw: random.Random) -> list[Row]:
    placed = _moment(draw, "2026-01-01", "2026-02-27")
    known = _later(draw, placed, 4)
    amount = float(draw.randint(10, 200))
    first = order(order_id, str(placed), amount, member_id=f"crm:{n}", status="paid",
                  gross_amount=amount + 10, discount_amount=10.0, store_id=f"shop{n % 3}",
                  updated_at=placed, _known_at=known)  # fmt: skip
    versions = [first]
    if draw.random() < 0.4:
        changed = _later(draw, known, 20)
        versions.append({**first, "status": draw.choice(["completed", "cancelled"]),
                         "updated_at": changed, "_known_at": changed})  # fmt: skip
    if draw.random() < 0.1:
        # An older version that arrives after the newer one changes nothing from then on.
        versions.append({**first, "status": "unpaid", "updated_at": placed - timedelta(hours=1),
                         "_known_at": _later(draw, known, 25)})  # fmt: skip
    return versions


def _line(placed: Row, draw: random.Random) -> list[Row]:
    net = float(placed["net_amount"])
    return [line(placed["order_id"], 1, str(placed["ordered_at"]), net,
                 product_id=f"p{draw.randrange(6)}", quantity=float(draw.randint(1, 4)),
                 _known_at=placed["_known_at"])]  # fmt: skip


def _lines_alone(order_id: str, n: int, draw: random.Random) -> list[list[Row]]:
    """Lines without a header: a sale, a line of the same document that comes later, a return."""
    placed = _moment(draw, "2026-01-01", "2026-02-20")
    known = _later(draw, placed, 2)
    who = {"member_id": f"crm:{n}", "channel": "web"}
    return [
        [line(order_id, 1, str(placed), 25.0, **who, _known_at=known)],
        [line(order_id, 2, str(placed), 15.0, **who, _known_at=_later(draw, known, 20))],
        [line(f"{order_id}-back", 1, str(_later(draw, placed, 10)), -15.0, **who,
              _known_at=_later(draw, known, 20))],
    ]  # fmt: skip


def _refund(placed: Row, draw: random.Random) -> list[Row]:
    asked = _later(draw, placed["ordered_at"], 10)
    first = {"refund_id": f"r-{placed['order_id']}", "order_id": placed["order_id"], "amount": 5.0,
             "currency": "CNY", "status": "requested", "requested_at": asked,
             "updated_at": asked, "_known_at": _later(draw, asked, 1)}  # fmt: skip
    done = _later(draw, asked, 15)
    return [first, {**first, "status": "completed", "refunded_at": done, "updated_at": done,
                    "_known_at": _later(draw, done, 5)}]  # fmt: skip


def _event(event_id: str, n: int, draw: random.Random) -> list[Row]:
    happened = _moment(draw, "2026-01-08", "2026-02-27")
    name = draw.choice(["product_view", "add_to_cart", "share", "launch", "message_received"])
    first = {"event_id": event_id, "event_name": name, "channel": "mini_program",
             "openid": f"mini:{n}", "session_id": f"v{n}-{happened.day}", "occurred_at": happened,
             "_known_at": _later(draw, happened, 3)}  # fmt: skip
    if draw.random() < 0.1:
        return [first, {**first, "event_name": "search", "_known_at": _later(draw, happened, 30)}]
    return [first]


def _message(n: int, draw: random.Random) -> list[Row]:
    created = _moment(draw, "2026-01-10", "2026-02-20")
    first = {"message_id": "m1", "external_userid": f"wecom:{n}", "staff_id": "s1",
             "channel": "wecom", "status": "unsent", "created_at": created,
             "updated_at": created}  # fmt: skip
    sent = _later(draw, created, 5)
    return [first, {**first, "status": "sent", "sent_at": sent, "updated_at": sent,
                    "_known_at": _later(draw, sent, 5)}]  # fmt: skip


def _coupon(n: int, draw: random.Random) -> list[Row]:
    issued = _moment(draw, "2026-01-03", "2026-02-10")
    first = {"coupon_id": f"k{n}", "member_id": f"crm:{n}", "status": "issued",
             "issued_at": issued, "expires_at": issued + timedelta(days=20),
             "updated_at": issued}  # fmt: skip
    if draw.random() < 0.5:
        return [first]
    used = _later(draw, issued, 15)
    return [first, {**first, "status": "redeemed", "redeemed_at": used, "updated_at": used,
                    "_known_at": _later(draw, used, 5)}]  # fmt: skip


def _points(n: int, k: int, draw: random.Random) -> Row:
    happened = _moment(draw, "2026-01-02", "2026-02-27")
    return {"entry_id": f"t{n}-{k}", "member_id": f"crm:{n}", "change": draw.randint(-20, 60),
            "reason": "adjust", "occurred_at": happened,
            "_known_at": _later(draw, happened, 6)}  # fmt: skip


def _consent(n: int, draw: random.Random) -> Row:
    said = _moment(draw, "2026-01-02", "2026-02-27")
    return {"consent_id": f"n{n}", "identifier": f"crm:{n}", "purpose": "marketing",
            "channel": "wecom", "status": draw.choice(["granted", "withdrawn"]),
            "effective_at": said, "_known_at": _later(draw, said, 6)}  # fmt: skip


def _written_orders() -> list[Row]:
    """Member 90 buys on January 5, twice on the 15th and on the 25th; 91 pays after MIDDLE.

    Member 95 buys in a store and, as somebody else, in the mall; the order of February 10 tells.
    """
    mine: Row = {"member_id": "crm:90", "store_id": "shop1"}
    return [
        order("w1", "2026-01-05 03:00", 100.0, **mine, gross_amount=125.0, discount_amount=25.0),
        order("w2", "2026-01-15 03:00", 50.0, **mine),
        order("w3", "2026-01-15 08:00", 30.0, **mine, channel="web"),
        order("w4", "2026-01-25 03:00", 20.0, **mine),
        order("w5", "2026-02-10 03:00", 40.0, **mine),
        order("w6", "2026-01-26 03:00", 70.0, **mine, status="cancelled"),
        order("x1", "2026-01-10 03:00", 60.0, member_id="crm:91"),
        order("x2", "2026-01-30 03:00", 60.0, member_id="crm:91", paid_at=at("2026-02-02 03:00")),
        order("y1", "2026-01-12 03:00", 70.0, member_id="crm:95"),
        order("y2", "2026-01-18 03:00", 40.0, buyer_id="mall:95"),
        order("y3", "2026-02-10 03:00", 30.0, member_id="crm:95", buyer_id="mall:95"),
    ]


def _written_refund() -> list[Row]:
    return [
        {"refund_id": "r-w1", "order_id": "w1", "amount": 10.0, "currency": "CNY",
         "status": "completed", "requested_at": at("2026-01-20 03:00"),
         "refunded_at": at("2026-01-28 03:00")}
    ]  # fmt: skip
