"""The CRM: members, points, coupons, consents and feedback as CSV extracts.

What belongs here: the CRM's columns, codes and habits. What does not: who members are.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from siyu.simulator import vocabulary as words
from siyu.simulator.draws import Ints, Streams, numbered, pick, runs
from siyu.simulator.mall import trade_numbers
from siyu.simulator.parameters import DAY, PROCESS
from siyu.simulator.pos import coupon_numbers, order_numbers
from siyu.simulator.purchases import COUPON_DAYS, COUPON_FEN, COUPON_THRESHOLD_FEN, STORE
from siyu.simulator.world import World, label, yuan
from siyu.simulator.writing import Writer

_TIER_FEN = (0, 100_000, 300_000, 800_000)
_CHANNEL_NAMES = ("store", "mall", "mini_program")


def write_crm(world: World, writer: Writer) -> None:
    """Write everything the CRM exports."""
    _members(world, writer)
    _points(world, writer)
    _coupons(world, writer)
    _consents(world, writer)
    _feedback(world, writer)


def person_names(world: World) -> pa.Array:
    """A name for each person."""
    rng, count = world.streams.of("names"), world.people.count
    parts = (words.SURNAMES, words.GIVEN_FIRST, words.GIVEN_SECOND)
    drawn = [label(part, rng.integers(0, len(part), count)) for part in parts]
    return pc.binary_join_element_wise(*drawn, "")


def order_codes(world: World, order: Ints) -> pa.Array:
    """Number of each order in the system that sold it; null for negative ones."""
    in_store = world.purchases.orders.channel[order] == STORE
    known = np.maximum(order, 0)
    codes = pc.if_else(pa.array(in_store), order_numbers(known), trade_numbers(known))
    return pc.if_else(pa.array(order >= 0), codes, None)


def _members(world: World, writer: Writer) -> None:
    people, identities, clock = world.people, world.identities, world.clock
    rng = world.streams.of("crm members")
    person, at, tier = _member_versions(world)
    second = np.flatnonzero(identities.has_second)
    again = (people.joined_day[second] + 60) * DAY + people.joined_second[second]
    second, again = second[again < clock.end], again[again < clock.end]
    world.dirt.counts["crm.members", "second_member"] = len(second)
    lacks = identities.crm_lacks_unionid & people.is_member
    world.dirt.counts["crm.members", "missing_unionid"] = int(lacks.sum())
    is_second = np.arange(len(person) + len(second)) >= len(person)
    person, at = np.concatenate([person, second]), np.concatenate([at, again])
    tier = np.concatenate([tier, np.zeros(len(second), dtype=np.int64)])
    joined = people.joined_day * DAY + people.joined_second
    registered = np.where(is_second, at, joined[person])
    # What a person is does not change between versions, so it is drawn once a person.
    gender = rng.choice(3, people.count, p=[0.24, 0.68, 0.08])[person]
    birth = rng.integers(-60 * 365, -18 * 365, people.count)[person]
    has_birth = (rng.random(people.count) < 0.6)[person]
    has_email = (rng.random(people.count) < 0.2)[person]
    has_address = (rng.random(people.count) < 0.5)[person]
    channel = rng.choice(4, people.count, p=[0.5, 0.25, 0.15, 0.1])[person]
    closed = (rng.random(people.count) < 0.01)[person]
    place = people.place[person]
    lacks_wechat = ~people.on_wechat | identities.crm_lacks_unionid
    user = numbered("user", person + 1, 8)
    street = rng.integers(0, len(words.STREETS), people.count)[person]
    house = pa.array(rng.integers(1, 400, people.count)[person]).cast(pa.string())
    table = pa.table(
        {
            "member_no": pc.if_else(
                pa.array(is_second),
                pick(identities.second_member_id, person),
                pick(identities.member_id, person),
            ),
            "name": pick(person_names(world), person),
            "mobile": pick(identities.registered_phone, person),
            "email": pc.if_else(
                pa.array(has_email), pc.binary_join_element_wise(user, "example.com", "@"), None
            ),
            "birthday": clock.day(birth, ~has_birth).cast(pa.string()),
            "gender": label(("1", "2", "0"), gender),
            "province": label([p[0] for p in words.PLACES], place),
            "city": label([p[1] for p in words.PLACES], place),
            "address": pc.if_else(
                pa.array(has_address),
                pc.binary_join_element_wise(
                    label([p[1] + p[2] for p in words.PLACES], place),
                    label(words.STREETS, street), house, pa.scalar("号"), "",
                ),
                None,
            ),
            "wx_unionid": pick(identities.unionid, person, lacks_wechat[person] | is_second),
            "wx_openid": pick(
                identities.openid, person, (lacks_wechat | ~people.in_mini)[person] | is_second
            ),
            "level": label(words.TIERS, tier),
            "state": label(("正常", "注销"), closed.astype(np.int64)),
            "reg_channel": label(words.REGISTER_CHANNELS, channel),
            "reg_store": pick(world.catalogue.stores.code, people.home_store[person]),
            "inviter_no": pick(
                identities.member_id,
                people.referrer[person],
                (people.referrer[person] < 0) | is_second,
            ),
            "reg_time": clock.text(registered),
            "update_time": clock.text(at),
        }
    ).take(pa.array(np.argsort(at, kind="stable")))  # fmt: skip
    table = world.dirt.repeat("crm.members", table)
    table = world.dirt.spoil(
        "crm.members",
        table,
        {
            "missing id": {"member_no": None},
            "bad date": {"member_no": "MBAD1{n:05d}", "reg_time": "2025-02-30 10:00:00"},
            "unknown gender": {"member_no": "MBAD2{n:05d}", "gender": "7"},
        },
    )
    writer.csv("crm/members", table)


def _member_versions(world: World) -> tuple[Ints, Ints, Ints]:
    """Person, local second and tier of every state of every membership."""
    people, orders = world.people, world.purchases.orders
    everybody = np.arange(people.members)
    persons, times = [everybody], [(people.joined_day * DAY + people.joined_second)[everybody]]
    tiers = [np.zeros(people.members, dtype=np.int64)]
    net = world.purchases.order_sum(world.purchases.lines.net_fen) * ~orders.cancelled
    spent = running_total(orders.person, net)
    for tier, least in enumerate(_TIER_FEN[1:], start=1):
        reached = (spent >= least) & (spent - net < least) & people.is_member[orders.person]
        at = (orders.ordered_at // DAY + 1) * DAY + 3 * 3600 + tier
        rows = np.flatnonzero(reached & (at < world.clock.end))
        persons.append(orders.person[rows])
        times.append(at[rows])
        tiers.append(np.full(len(rows), tier))
    return np.concatenate(persons), np.concatenate(times), np.concatenate(tiers)


def running_total(group: Ints, amount: Ints) -> Ints:
    """Sum of ``amount`` up to and with each row, within its group; rows in order of time."""
    by_group = np.argsort(group, kind="stable")
    total = np.cumsum(amount[by_group])
    first, sizes = runs(group[by_group])
    before = np.concatenate([[0], total])[first]
    result = np.empty(len(group), dtype=np.int64)
    result[by_group] = total - np.repeat(before, sizes)
    return result


def _points(world: World, writer: Writer) -> None:
    """A point a yuan for purchases of known members; now and then some are spent."""
    orders, clock, rng = world.purchases.orders, world.clock, world.streams.of("points")
    net = world.purchases.order_sum(world.purchases.lines.net_fen) // 100
    known = world.people.is_member[orders.person] & ~world.anonymous
    row = np.flatnonzero(known & ~orders.cancelled & (net > 0))
    spends = row[rng.random(len(row)) < 0.08]
    source = np.concatenate([row, spends])
    is_spend = np.arange(len(source)) >= len(row)
    at = orders.ordered_at[source] + np.where(is_spend, 3600, 120)
    change = np.where(is_spend, -((net[source] + 2) // 3), net[source])
    order = np.argsort(at, kind="stable")
    order = order[at[order] < clock.end]
    source, at, change, is_spend = source[order], at[order], change[order], is_spend[order]
    person = orders.person[source]
    late = world.dirt.mark("crm.points", "late", len(source))
    recorded = at + np.where(late, rng.integers(DAY, 6 * DAY, len(at)), 2)
    table = pa.table(
        {
            "entry_no": numbered("J", np.arange(1, len(source) + 1), 9),
            "member_no": pick(world.identities.member_id, person),
            "change": change,
            "balance": running_total(person, change),
            "reason": label(("消费获得", "积分兑换"), is_spend.astype(np.int64)),
            "order_no": order_codes(world, np.where(is_spend, -1, source)),
            "occur_time": clock.text(at),
            "record_time": clock.text(recorded),
        }
    )
    table = table.take(pa.array(np.argsort(recorded, kind="stable")))
    writer.csv("crm/points", world.dirt.repeat("crm.points", table))


def _coupons(world: World, writer: Writer) -> None:
    """Each coupon when issued, and again when it is used or lapses."""
    coupons, orders, clock = world.purchases.coupons, world.purchases.orders, world.clock
    row = np.arange(len(coupons.person))
    used = coupons.order >= 0
    expires = coupons.issued_at + COUPON_DAYS * DAY
    ends = np.where(used, orders.ordered_at[coupons.order], expires)
    ended = row[ends < clock.end]
    both = np.concatenate([row, ended])
    is_final = np.arange(len(both)) >= len(row)
    redeemed = is_final & used[both]
    at = np.where(is_final, ends[both], coupons.issued_at[both])
    table = pa.table(
        {
            "coupon_no": coupon_numbers(both),
            "member_no": pick(world.identities.member_id, coupons.person[both]),
            "activity_code": pick(world.catalogue.campaigns.code, coupons.campaign[both]),
            "kind": label(("满减券",), np.zeros(len(both), dtype=np.int64)),
            "face_value": yuan(COUPON_FEN[coupons.kind[both]]),
            "threshold": yuan(COUPON_THRESHOLD_FEN[coupons.kind[both]]),
            "state": label(
                ("已发放", "已核销", "已过期"), np.where(is_final, np.where(redeemed, 1, 2), 0)
            ),
            "order_no": order_codes(world, np.where(redeemed, coupons.order[both], -1)),
            "issue_time": clock.text(coupons.issued_at[both]),
            "expire_time": clock.text(expires[both]),
            "use_time": clock.text(at, ~redeemed),
            "update_time": clock.text(at),
        }
    ).take(pa.array(np.argsort(at, kind="stable")))
    writer.csv("crm/coupons", world.dirt.repeat("crm.coupons", table))


def _consents(world: World, writer: Writer) -> None:
    people, clock = world.people, world.clock
    rng, members = world.streams.of("consents"), np.arange(world.people.members)
    joined = people.joined_day * DAY + people.joined_second
    agrees = rng.random(people.count) < 0.87
    contacts = np.flatnonzero(people.in_wecom)
    withdrawing = members[agrees[members] & (people.withdrawn_day[members] < clock.days)]
    # Person, whether by WeCom id, purpose, channel, status, local second.
    parts = [
        (members, 0, "data_use", "all", np.full(len(members), 0), joined[members] + 5),
        (members, 0, "marketing", "all", np.where(agrees[members], 0, 1), joined[members] + 6),
        (contacts, 1, "marketing", "wecom", np.where(agrees[contacts], 0, 1),
         people.contact_day[contacts] * DAY + 12 * 3600),
        (withdrawing, 0, "marketing", "all", np.full(len(withdrawing), 2),
         people.withdrawn_day[withdrawing] * DAY + rng.integers(0, DAY, len(withdrawing))),
    ]  # fmt: skip
    person = np.concatenate([part[0] for part in parts])
    by_wecom = np.repeat([part[1] == 1 for part in parts], [len(part[0]) for part in parts])
    at = np.concatenate([part[5] for part in parts])
    kinds = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    status = np.concatenate([part[4] for part in parts])
    keep = np.flatnonzero(at < clock.end)
    order = keep[np.argsort(at[keep], kind="stable")]
    person, by_wecom, at = person[order], by_wecom[order], at[order]
    kinds, status = kinds[order], status[order]
    late = world.dirt.mark("crm.consents", "late", len(order))
    recorded = at + np.where(late, rng.integers(DAY, 10 * DAY, len(at)), 1)
    table = pa.table(
        {
            "consent_no": numbered("K", np.arange(1, len(order) + 1), 9),
            "id_type": label(("member", "wecom"), by_wecom.astype(np.int64)),
            "id_value": pc.if_else(
                pa.array(by_wecom),
                pick(world.identities.external_userid, person),
                pick(world.identities.member_id, person),
            ),
            "purpose": label([part[2] for part in parts], kinds),
            "channel": label([part[3] for part in parts], kinds),
            "status": label(("granted", "denied", "withdrawn"), status),
            "legal_basis": label(("consent",), np.zeros(len(order), dtype=np.int64)),
            "policy_version": label(("v2.3", "v3.0"), (at // DAY > 365).astype(np.int64)),
            "captured_by": label(
                ("会员注册页", "企微欢迎语", "退订页"), np.select([kinds == 3, by_wecom], [2, 1], 0)
            ),
            "evidence": numbered("EV", np.arange(1, len(order) + 1), 9),
            "effective_time": clock.text(at),
            "record_time": clock.text(recorded),
        }
    ).take(pa.array(np.argsort(recorded, kind="stable")))
    table = world.dirt.repeat("crm.consents", table)
    table = world.dirt.spoil(
        "crm.consents", table, {"unknown status": {"consent_no": "KBAD{n:06d}", "status": "maybe"}}
    )
    writer.csv("crm/consents", table)


def _feedback(world: World, writer: Writer) -> None:
    """Opinions on orders; people who are about to leave like them less."""
    people, orders, clock = world.people, world.purchases.orders, world.clock
    rng = world.streams.of("feedback")
    said = (rng.random(orders.count) < PROCESS.feedback_share) & ~orders.cancelled
    row = np.flatnonzero(said & people.is_member[orders.person])
    person = orders.person[row]
    at = orders.ordered_at[row] + rng.integers(DAY, 12 * DAY, len(row))
    row, person, at = row[at < clock.end], person[at < clock.end], at[at < clock.end]
    leaving = at // DAY >= people.fade_day[person]
    mood = np.where(
        leaving,
        rng.choice(3, len(row), p=[0.4, 0.25, 0.35]),
        rng.choice(3, len(row), p=[0.8, 0.14, 0.06]),
    )
    rating = np.select(
        [mood == 0, mood == 1], [rng.integers(4, 6, len(row)), 3], rng.integers(1, 3, len(row))
    )
    text = _feedback_text(world.streams, mood)
    exposed = world.dirt.mark("crm.feedback", "phone_in_text", len(row))
    phone = pick(world.identities.phone, person)
    text = pc.if_else(
        pa.array(exposed),
        pc.binary_join_element_wise(text, pa.scalar("，请回电"), phone, ""),
        text,
    )
    product = world.purchases.lines.product[orders.first_line[row]]
    table = pa.table(
        {
            "feedback_no": numbered("F", row + 1, 9),
            "member_no": pick(world.identities.member_id, person),
            "order_no": order_codes(world, row),
            "sku": pick(world.catalogue.products.code, product),
            "channel": label(_CHANNEL_NAMES, orders.channel[row]),
            "stars": rating,
            "content": text,
            "submit_time": clock.text(at),
        }
    ).take(pa.array(np.argsort(at, kind="stable")))
    writer.csv("crm/feedback", world.dirt.repeat("crm.feedback", table))


def _feedback_text(streams: Streams, mood: Ints) -> pa.Array:
    rng = streams.of("feedback text")
    lists = (words.GOOD_FEEDBACK, words.MIXED_FEEDBACK, words.BAD_FEEDBACK)
    starts = np.cumsum([0] + [len(found) for found in lists[:-1]])
    sizes = np.array([len(found) for found in lists])
    every = [text for found in lists for text in found]
    return label(every, starts[mood] + (rng.random(len(mood)) * sizes[mood]).astype(np.int64))
