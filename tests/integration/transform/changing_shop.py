"""A shop whose customers change over time, some of which it hears of late.

What belongs here: the rows. What does not: what the tables make of them; that is in the tests.
"""

from __future__ import annotations

from datetime import datetime
from random import Random

from tiny_lake import Row, Shop, at

MAPPED = ("members", "contacts", "group_members", "consents")


def day(number: int) -> datetime:
    """The beginning of a day of January 2026 (UTC)."""
    return at(f"2026-01-{number:02d} 00:00")


ADDED, DELETED, AGAIN, CORRECTED = day(3), day(20), at("2026-02-01 00:00"), at("2026-02-02 00:00")


def member(who: str, changed: int, known: int | None = None, **more: object) -> Row:
    """A version of a membership, of the day on which it changed."""
    return {"member_id": f"crm:{who}", "registered_at": day(5), "updated_at": day(changed),
            "status": "active", "_known_at": day(known or changed), **more}  # fmt: skip


def consent(number: int, who: str, said: int, status: str, **more: object) -> Row:
    return {"consent_id": f"n{number}", "identifier": who, "purpose": "marketing", "channel": "all",
            "status": status, "effective_at": day(said), **more}  # fmt: skip


def contact(
    who: str,
    staff: str,
    added: datetime,
    ended: datetime | None = None,
    changed: datetime | None = None,
    **more: object,
) -> Row:
    known = changed or ended or added
    return {"external_userid": f"wecom:{who}", "staff_id": staff, "added_at": added,
            "deleted_at": ended, "updated_at": known, "_known_at": known, **more}  # fmt: skip


def stay(who: str, joined: datetime, left: datetime | None = None, **more: object) -> Row:
    return {"group_id": "g1", "userid": f"wecom:{who}", "member_type": "customer",
            "joined_at": joined, "left_at": left, "updated_at": left or joined,
            "_known_at": left or joined, **more}  # fmt: skip


def fill(made: Shop) -> None:
    """Land the rows of everything that changes."""
    made.land("members", [*MEMBERS, *DRAWN["members"]], superseding=12)
    made.land("contacts", [*CONTACTS, *DRAWN["contacts"]], superseding=7)
    made.land("group_members", STAYS, superseding=2)
    made.land("consents", [*CONSENTS, *DRAWN["consents"]], superseding=2)


def drawn(random: Random) -> dict[str, list[Row]]:
    """Rows of customers of two memberships and two WeCom ids each, who change at random.

    Each change is heard of between at once and ten days later.
    """
    rows: dict[str, list[Row]] = {"members": [], "contacts": [], "consents": []}

    def known(changed: int) -> datetime:
        return day(min(28, changed + random.choice([0, 0, 1, 5, 10])))

    for number in range(2 * DRAWN_CUSTOMERS):
        unionid = f"wx:d{number}"
        registered = day(random.randint(1, 3))
        for changed in random.sample(range(4, 24), random.randint(1, 4)):
            rows["members"].append(
                member(f"d{number}", changed, unionid=unionid, _known_at=known(changed),
                       phone_token=f"phone:d{number // 2}", registered_at=registered,
                       tier=random.choice(["gold", "silver"]),
                       status=random.choice(["active", "frozen", "closed"]))
            )  # fmt: skip
        for staff in ("s1", "s2"):
            for changed in random.sample(range(10, 24), random.randint(0, 4)):
                row = contact(f"d{number}", staff, day(random.choice([3, 6, 9])),
                              random.choice([day(8), day(15), None]), day(changed))  # fmt: skip
                rows["contacts"].append({**row, "unionid": unionid, "_known_at": known(changed)})
        for said in random.choices(range(4, 20), k=random.randint(0, 4)):
            row = consent(
                100 + len(rows["consents"]), f"wecom:d{number}", said,
                random.choice(["granted", "granted", "denied", "withdrawn"]),
                channel=random.choice(["all", "sms", "wecom"]),
                expires_at=random.choice([None, day(22)]),
            )  # fmt: skip
            rows["consents"].append({**row, "_known_at": known(said)})
    return rows


MEMBERS = (
    # Silver from the 5th, gold from the 20th; on the 25th the shop hears of bronze from the 10th.
    member("late", 5, tier="silver", city="Suzhou"),
    member("late", 20, tier="gold", city="Suzhou"),
    member("late", 10, 25, tier="bronze", city="Suzhou"),
    # The CRM sends everybody every day, whether anything changed or not.
    *(member("daily", number, tier="silver") for number in range(5, 15)),
    # One person with two memberships: the second one speaks once the first is closed.
    member("one", 5, tier="gold", phone_token="phone:a"),
    member("one", 15, tier="gold", phone_token="phone:a", status="closed"),
    member("two", 8, tier="silver", phone_token="phone:a", registered_at=day(8)),
    # No time of change.
    {"member_id": "crm:undated", "tier": "silver", "_known_at": day(7)},
    {"member_id": "crm:back", "unionid": "wx:1", "registered_at": ADDED},
)
CONTACTS = (
    # Looked after by one, then by another, then by the first again.
    contact("owned", "s1", day(5)),
    contact("owned", "s2", day(10)),
    contact("owned", "s2", day(10), day(20), deleted_by="customer"),
    # Added, deleted without the rest being said again, and added again.
    contact(
        "back", "s1", ADDED, unionid="wx:1", add_way="1", tags="t1,t2", remark_phone_token="phone:r"
    ),
    contact("back", "s1", ADDED, DELETED, deleted_by="customer"),
    contact("back", "s1", AGAIN, unionid="wx:1", add_way="16", tags="t3"),
    # Nobody said that the first relationship had ended.
    contact("silent", "s1", ADDED),
    contact("silent", "s1", AGAIN),
    # The later version knows better when the relationship began.
    contact("corrected", "s1", AGAIN),
    contact("corrected", "s1", ADDED, changed=CORRECTED),
    # Handed over by the one, taken by the other; a third happened to add her the same day.
    contact("moved", "s1", ADDED, add_way="1"),
    contact("moved", "s1", ADDED, DELETED, deleted_by="transfer"),
    contact("moved", "s2", at("2026-01-20 00:01"), add_way="202"),
    contact("moved", "s3", at("2026-01-20 01:00"), add_way="1"),
    contact("strange", "s1", ADDED, add_way="999"),
)
STAYS = (
    stay("back", ADDED, join_scene="qr"),
    stay("back", ADDED, DELETED, quit_scene="removed"),
    stay("back", AGAIN, join_scene="invite", invited_by_staff_id="s1"),
    stay("s1", ADDED, member_type="staff"),
)
CONSENTS = (
    consent(1, "wecom:owned", 5, "granted"),
    consent(2, "wecom:owned", 10, "denied", channel="sms"),
    consent(3, "wecom:owned", 15, "granted"),
    consent(4, "wecom:owned", 20, "granted", channel="wecom", expires_at=day(25)),
    consent(5, "phone:a", 6, "granted", expires_at=at("2027-01-01 00:00")),
    consent(6, "crm:late", 6, "granted", purpose="data_use"),
    # A refusal that is called a grant later, and a grant that is called a refusal.
    consent(7, "crm:undated", 10, "denied"),
    consent(7, "crm:undated", 10, "granted", _known_at=day(20)),
    consent(8, "crm:back", 10, "granted"),
    consent(8, "crm:back", 10, "withdrawn", _known_at=day(20)),
)
DRAWN_CUSTOMERS = 8
DRAWN = drawn(Random(1))


def rows_of_drawn(customer: int) -> dict[str, list[Row]]:
    """The rows that speak of one of those customers; a WeCom id without a contact is nobody's."""
    numbers = (2 * customer, 2 * customer + 1)
    contacts = [
        row for row in DRAWN["contacts"] if row["external_userid"] in _named("wecom", numbers)
    ]
    linked = {row["external_userid"] for row in contacts}
    return {
        "members": [row for row in DRAWN["members"] if row["member_id"] in _named("crm", numbers)],
        "contacts": contacts,
        "consents": [row for row in DRAWN["consents"] if row["identifier"] in linked],
    }


def _named(namespace: str, numbers: tuple[int, ...]) -> set[str]:
    return {f"{namespace}:d{number}" for number in numbers}
