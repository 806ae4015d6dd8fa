"""WeCom: staff, contacts, groups and mass-send results, as its API answers.

The sync keeps answers as they came, one a line. What belongs here: the API's shapes and codes, and
the two exports of what the API forgets (lost contacts, group leavers). What does not: who is a
contact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from siyu.simulator import vocabulary as words
from siyu.simulator.draws import Bools, Ints, numbered, pick, runs, tokens
from siyu.simulator.parameters import DAY, PROCESS
from siyu.simulator.world import World, label, struct
from siyu.simulator.writing import Writer

_PAGE = 100
_GROUP_SIZE = 150
_SNAPSHOT_EVERY_DAYS = 182
_ADD_WAYS = np.array([1, 2, 3, 4, 16, 201])
_ASSIGNED = 202
_ENDED_BY = ("员工删除客户", "客户删除员工", "客户转接")
_BY_STAFF, _BY_CUSTOMER, _BY_TRANSFER = range(3)
_TAGS = ("etDEMO_new", "etDEMO_vip", "etDEMO_baby", "etDEMO_pet", "etDEMO_beauty")


@dataclass(frozen=True)
class _Relations:
    """One row per customer and staff; a few customers added two, and some were handed over."""

    person: Ints
    staff: Ints
    added_at: Ints
    deleted_at: Ints
    ended_by: Ints
    assigned: Bools

    @property
    def count(self) -> int:
        return len(self.person)


@dataclass(frozen=True)
class _Memberships:
    """One row per customer in a group."""

    group: Ints
    person: Ints
    joined_at: Ints
    left_at: Ints
    scene: Ints


def write_wecom(world: World, writer: Writer) -> None:
    """Write everything that WeCom answers."""
    _staff(world, writer)
    relations = _relations(world)
    _contacts(world, writer, relations)
    _groups(world, writer)
    _message_results(world, writer)


def _answer(name: str, items: pa.ListArray) -> pa.Table:
    """API answers, each with one list."""
    count = len(items)
    return pa.table(
        {
            "errcode": np.zeros(count, dtype=np.int64),
            "errmsg": pa.array(["ok"] * count, pa.string()),
            name: items,
            "next_cursor": pa.array([""] * count, pa.string()),
        }
    )


def _pages(items: pa.StructArray, group: Ints) -> tuple[pa.ListArray, Ints]:
    """Items in lists of at most a page, none across two groups; and each list's group."""
    first, sizes = runs(group)
    starts = [
        np.arange(start, start + size, _PAGE) for start, size in zip(first, sizes, strict=True)
    ]
    offsets = np.concatenate([np.zeros(0, dtype=np.int64), *starts, [len(group)]])
    lists = pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), items)
    return lists, group[offsets[:-1]]


def _staff(world: World, writer: Writer) -> None:
    staff, clock, rng = world.catalogue.staff, world.clock, world.streams.of("staff names")
    shoppers = _staff_who_shop(world)
    rows = []
    for number in range(staff.count):
        name = (
            words.SURNAMES[rng.integers(len(words.SURNAMES))]
            + words.GIVEN_FIRST[rng.integers(len(words.GIVEN_FIRST))]
            + words.GIVEN_SECOND[rng.integers(len(words.GIVEN_SECOND))]
        )
        left = int(staff.left_day[number])
        attributes = [("入职日期", int(staff.hired_day[number]))]
        attributes += [("离职日期", left)] if left < clock.days else []
        rows.append(
            {
                "userid": staff.userid[number].as_py(),
                "name": name,
                "department": [101 + int(staff.store[number])],
                "position": words.STAFF_ROLES[number % staff.per_store % len(words.STAFF_ROLES)],
                "mobile": shoppers.get(number, f"135{number + 1:08d}"),
                "gender": str(1 + int(rng.integers(2))),
                "status": 5 if left < clock.days else 1,
                "enable": 0 if left < clock.days else 1,
                "extattr": {
                    "attrs": [
                        {"type": 0, "name": title, "text": {"value": str(_day(world, day))}}
                        for title, day in attributes
                    ]
                },
            }
        )
    answer = pa.table({"errcode": [0], "errmsg": ["ok"], "userlist": [rows]})
    writer.json("wecom/staff", answer)


def _staff_who_shop(world: World) -> dict[int, str]:
    """Phones of those who are members themselves and look at their own shop's mini-program."""
    people, identities = world.people, world.identities
    rng = world.streams.of("staff who shop")
    own = identities.phone_owner == np.arange(people.count)
    able = np.flatnonzero(people.is_member & people.in_mini & own & ~identities.junk_phone)
    staff = np.flatnonzero(rng.random(world.catalogue.staff.count) < PROCESS.shopping_staff_share)
    chosen = rng.choice(able, min(len(staff), len(able)), replace=False)
    phones = identities.phone.take(pa.array(chosen)).to_pylist()
    return dict(zip(staff.tolist(), phones, strict=False))


def _day(world: World, day: int) -> str:
    found: str = world.clock.day(np.array([day])).cast(pa.string())[0].as_py()
    return found


def _relations(world: World) -> _Relations:
    people, rng, end = world.people, world.streams.of("relations"), world.clock.end
    first = np.flatnonzero(people.in_wecom)
    second = first[rng.random(len(first)) < 0.08]
    person = np.concatenate([first, second])
    is_second = np.arange(len(person)) >= len(first)
    per_store = world.catalogue.staff.per_store
    own = people.contact_staff[person]
    colleague = own // per_store * per_store + (own + 1) % per_store
    added = people.contact_day[person] * DAY + rng.integers(9 * 3600, 21 * 3600, len(person))
    added = added + np.where(is_second, rng.integers(DAY, 40 * DAY, len(person)), 0)
    deleted = people.deleted_day[person] * DAY + rng.integers(0, DAY, len(person))
    kept = (added < end) & (added < deleted)
    by_customer = rng.random(len(person)) < 0.9
    return _handed_over(
        world,
        _Relations(
            person=person[kept],
            staff=np.where(is_second, colleague, own)[kept],
            added_at=added[kept],
            deleted_at=deleted[kept],
            ended_by=np.where(by_customer, _BY_CUSTOMER, _BY_STAFF)[kept],
            assigned=np.zeros(int(kept.sum()), dtype=np.bool_),
        ),
    )


def _handed_over(world: World, relations: _Relations) -> _Relations:
    """Who still has staff who leave is handed over to the store's manager, who stays."""
    staff = world.catalogue.staff
    left = staff.left_day[relations.staff] * DAY + 18 * 3600
    moves = (relations.added_at < left) & (left < relations.deleted_at) & (left < world.clock.end)
    manager = relations.staff // staff.per_store * staff.per_store
    pair = relations.person * staff.count + manager
    # Who has the manager already is not assigned to them again.
    alone = np.flatnonzero(moves & ~np.isin(pair, relations.person * staff.count + relations.staff))
    taken = alone[np.unique(pair[alone], return_index=True)[1]]
    return _Relations(
        person=np.concatenate([relations.person, relations.person[taken]]),
        staff=np.concatenate([relations.staff, manager[taken]]),
        added_at=np.concatenate([relations.added_at, left[taken] + 60]),
        deleted_at=np.concatenate(
            [np.where(moves, left, relations.deleted_at), relations.deleted_at[taken]]
        ),
        ended_by=np.concatenate(
            [np.where(moves, _BY_TRANSFER, relations.ended_by), relations.ended_by[taken]]
        ),
        assigned=np.arange(relations.count + len(taken)) >= relations.count,
    )


def _contacts(world: World, writer: Writer, relations: _Relations) -> None:
    """Each contact in the poll of the month in which it was added; deleted ones in an export."""
    people, identities, clock = world.people, world.identities, world.clock
    rng, person = world.streams.of("contacts"), relations.person
    lacks = (~people.on_wechat | identities.wecom_lacks_unionid)[person]
    lost = np.unique(person[identities.wecom_lacks_unionid[person]])
    world.dirt.counts["wecom.contacts", "missing_unionid"] = len(lost)
    nickname = label(words.NICKNAMES, rng.integers(0, len(words.NICKNAMES), people.count))
    gender = rng.choice(3, people.count, p=[0.3, 0.25, 0.45])[person]
    add_way = _ADD_WAYS[rng.choice(6, relations.count, p=[0.55, 0.1, 0.1, 0.1, 0.1, 0.05])]
    add_way = np.where(relations.assigned, _ASSIGNED, add_way)
    store = world.catalogue.staff.store[relations.staff]
    state = pc.binary_join_element_wise("qr", pick(world.catalogue.stores.code, store), "_")
    state = pc.if_else(pa.array(add_way == 1), state, None)
    remark = _remarks(world, relations)
    tag = label(_TAGS, rng.integers(0, len(_TAGS), relations.count))
    external = {
        "external_userid": pick(identities.external_userid, person),
        "name": pick(nickname, person),
        "type": np.ones(relations.count, dtype=np.int64),
        "gender": gender,
        "unionid": pick(identities.unionid, person, lacks),
    }
    follow = {
        "userid": pick(world.catalogue.staff.userid, relations.staff),
        "remark": pick(nickname, person),
        "description": label(("",), np.zeros(relations.count, dtype=np.int64)),
        "createtime": clock.unix(relations.added_at),
        "tag_id": _lists_of_one(tag),
        "state": state,
        "remark_mobiles": _lists_of_one(remark),
        "add_way": add_way,
    }
    contact = struct({"external_contact": struct(external), "follow_info": struct(follow)})
    again = np.flatnonzero(world.dirt.mark("wecom.contacts", "duplicate", relations.count))
    rows = np.concatenate([np.arange(relations.count), again])
    month = clock.month(relations.added_at[rows])
    rows = rows[np.lexsort((relations.added_at[rows], month))]
    month = clock.month(relations.added_at[rows])
    lists, month_of = _pages(contact.take(pa.array(rows)), month)
    writer.jsonl_by_month(
        "wecom/contacts", _answer("external_contact_list", lists), np.arange(len(lists)), month_of,
        clock.month_names(),
    )  # fmt: skip
    lost = np.flatnonzero(relations.deleted_at < clock.end)
    table = pa.table(
        {
            "external_userid": external["external_userid"],
            "unionid": external["unionid"],
            "nickname": external["name"],
            "gender": gender,
            "userid": follow["userid"],
            "remark_mobile": remark,
            "add_way": add_way,
            "state": state,
            "tag_id": tag,
            "add_time": clock.text(relations.added_at),
            "lost_time": clock.text(np.minimum(relations.deleted_at, clock.end)),
            "lost_type": label(_ENDED_BY, relations.ended_by),
        }
    )
    lost = lost[np.argsort(relations.deleted_at[lost], kind="stable")]
    writer.csv("wecom/lost_contacts", table.take(pa.array(lost)))


def _remarks(world: World, relations: _Relations) -> pa.Array:
    """Phones that staff typed; a few with a wrong digit, which may be somebody else's."""
    rng = world.streams.of("remarks")
    phone = pick(world.identities.phone, relations.person)
    typed = rng.random(relations.count) < 0.4
    wrong = world.dirt.mark("wecom.contacts", "mistyped_remark", relations.count, typed)
    last = pc.utf8_slice_codeunits(phone, 10, 11)
    slipped = pc.binary_join_element_wise(
        pc.utf8_slice_codeunits(phone, 0, 10), pc.if_else(pc.equal(last, "9"), "6", "9"), ""
    )
    return pc.if_else(pa.array(typed), pc.if_else(pa.array(wrong), slipped, phone), None)


def _memberships(world: World) -> tuple[_Memberships, Ints]:
    """Who is in which group, and the owner of each group."""
    people, rng, end = world.people, world.streams.of("groups"), world.clock.end
    contacts = np.flatnonzero(people.in_wecom)
    joins = contacts[rng.random(len(contacts)) < 0.55]
    stores = world.catalogue.stores.count
    per_store = max(1, round(len(joins) / stores / _GROUP_SIZE))
    group = people.home_store[joins] * per_store + rng.integers(0, per_store, len(joins))
    wait = rng.exponential(8, len(joins))
    joined = people.contact_day[joins] * DAY + 15 * 3600 + (wait * DAY).astype(np.int64)
    dropout = people.dropout_day[joins] * DAY
    leaves = rng.random(len(joins)) < 0.3
    left = np.where(leaves, dropout + rng.integers(-21 * DAY, 21 * DAY, len(joins)), 10 * end)
    left = np.maximum(left, joined + 3600)
    kept = joined < np.minimum(end, dropout)
    owner = np.arange(stores * per_store) // per_store * world.catalogue.staff.per_store
    found = _Memberships(
        group[kept], joins[kept], joined[kept], left[kept], rng.integers(1, 4, int(kept.sum()))
    )
    return found, owner


def _groups(world: World, writer: Writer) -> None:
    """The state of every group twice a year and at the end; leavers in an export."""
    memberships, owner = _memberships(world)
    chat_id = tokens(world.streams.of("chat ids"), len(owner), 24, "wrSyDEMO")
    days = [*range(_SNAPSHOT_EVERY_DAYS, world.clock.days, _SNAPSHOT_EVERY_DAYS), world.clock.days]
    for day in days:
        table = _group_answers(world, memberships, owner, chat_id, day * DAY)
        writer.jsonl(f"wecom/groups_{_day(world, day - 1)}", table)
    _leavers(world, writer, memberships, chat_id)


def _group_answers(
    world: World, memberships: _Memberships, owner: Ints, chat_id: pa.Array, at: int
) -> pa.Table:
    inside = np.flatnonzero((memberships.joined_at < at) & (memberships.left_at >= at))
    inside = inside[np.argsort(memberships.group[inside], kind="stable")]
    # The owner is the first member of each group.
    group = np.concatenate([np.arange(len(owner)), memberships.group[inside]])
    is_owner = np.arange(len(group)) < len(owner)
    order = np.argsort(group, kind="stable")
    person = np.concatenate([np.zeros(len(owner), dtype=np.int64), memberships.person[inside]])
    lacks = ~world.people.on_wechat | world.identities.wecom_lacks_unionid
    joined = np.concatenate([np.zeros(len(owner), dtype=np.int64), memberships.joined_at[inside]])
    scene = np.concatenate([np.ones(len(owner), dtype=np.int64), memberships.scene[inside]])
    owners = pick(world.catalogue.staff.userid, owner[group])
    by_owner = pc.if_else(pa.array(~is_owner & (scene == 1)), owners, None)
    member = struct(
        {
            "userid": pc.if_else(
                pa.array(is_owner), owners, pick(world.identities.external_userid, person)
            ),
            "type": np.where(is_owner, 1, 2),
            "unionid": pick(world.identities.unionid, person, is_owner | lacks[person]),
            "join_time": world.clock.unix(joined),
            "join_scene": scene,
            "invitor": struct({"userid": by_owner}),
        }
    ).take(pa.array(order))
    sizes = np.bincount(group, minlength=len(owner))
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    number = np.arange(len(owner))
    store = owner // world.catalogue.staff.per_store
    names = pc.binary_join_element_wise(
        pick(world.catalogue.stores.code, store),
        "福利群",
        pa.array(number + 1).cast(pa.string()),
        "",
    )
    chat = struct(
        {
            "chat_id": chat_id,
            "name": names,
            "owner": pick(world.catalogue.staff.userid, owner),
            "create_time": world.clock.unix(np.zeros(len(owner), dtype=np.int64)),
            "notice": label(("文明交流，禁止广告",), np.zeros(len(owner), dtype=np.int64)),
            "member_list": pa.ListArray.from_arrays(pa.array(offsets), member),
        }
    )
    count = len(owner)
    return pa.table(
        {
            "errcode": np.zeros(count, dtype=np.int64),
            "errmsg": pa.array(["ok"] * count, pa.string()),
            "group_chat": chat,
        }
    )


def _leavers(world: World, writer: Writer, memberships: _Memberships, chat_id: pa.Array) -> None:
    left = np.flatnonzero(memberships.left_at < world.clock.end)
    left = left[np.argsort(memberships.left_at[left], kind="stable")]
    person = memberships.person[left]
    lacks = ~world.people.on_wechat | world.identities.wecom_lacks_unionid
    rng = world.streams.of("group leavers")
    table = pa.table(
        {
            "chat_id": pick(chat_id, memberships.group[left]),
            "userid": pick(world.identities.external_userid, person),
            "unionid": pick(world.identities.unionid, person, lacks[person]),
            "join_scene": memberships.scene[left],
            "join_time": world.clock.text(memberships.joined_at[left]),
            "leave_time": world.clock.text(memberships.left_at[left]),
            "quit_scene": (rng.random(len(left)) < 0.1).astype(np.int64),
        }
    )
    writer.csv("wecom/group_leavers", table)


def _message_results(world: World, writer: Writer) -> None:
    """One answer per message and member of staff, beside what was asked: the answer does not say."""
    sends, clock, campaigns = world.marketing.sends, world.clock, world.catalogue.campaigns
    staff_count = world.catalogue.staff.count
    key = sends.campaign * staff_count + sends.staff
    order = np.lexsort((sends.person, key))
    recipient = struct(
        {
            "external_userid": pick(world.identities.external_userid, sends.person[order]),
            "userid": pick(world.catalogue.staff.userid, sends.staff[order]),
            "status": sends.status[order],
            "send_time": pa.array(clock.unix(sends.sent_at[order]), mask=sends.sent_at[order] < 0),
        }
    )
    lists, key_of = _pages(recipient, key[order])
    campaign, staff = np.divmod(key_of, staff_count)
    at = np.zeros(campaigns.count, dtype=np.int64)
    at[sends.campaign] = sends.created_at
    request = struct(
        {
            "msgid": numbered("msgSyDEMO", campaign + 1, 6),
            "userid": pick(world.catalogue.staff.userid, staff),
            "create_time": clock.unix(at[campaign]),
            "campaign_code": pick(campaigns.code, campaign),
            "content_code": pick(campaigns.content, campaign),
        }
    )
    answers = _answer("send_list", lists)
    response = struct({name: answers[name] for name in answers.column_names})
    table = pa.table({"request": request, "response": response})
    table = world.dirt.repeat("wecom.msg_results", table)
    created = table["request"].combine_chunks().field("create_time").to_numpy()
    month = clock.month(created - clock.unix(np.zeros(1, dtype=np.int64))[0])
    writer.jsonl_by_month(
        "wecom/msg_results", table, np.arange(len(created)), month, clock.month_names()
    )


def _lists_of_one(values: pa.Array) -> pa.ListArray:
    """A list with each value; an empty one for null."""
    held = values.is_valid().to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(held)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values.drop_null())
