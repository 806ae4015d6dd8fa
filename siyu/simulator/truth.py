"""What really was, for tests and benchmarks. No product code may read it.

What belongs here: the truth as Parquet, keyed by ``person_id``. What does not: anything that a
source system knows.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from siyu.simulator.crm import order_codes
from siyu.simulator.draws import Bools, Ints, numbered, pick
from siyu.simulator.marketing import TREATMENT
from siyu.simulator.parameters import DAY, PROCESS
from siyu.simulator.purchases import CAUSES, MALL, MESSAGE, MINI, STORE, TOUCH
from siyu.simulator.world import World, label
from siyu.simulator.writing import Writer


def write_truth(world: World, writer: Writer) -> None:
    """Write the truth."""
    _people(world, writer)
    _identifiers(world, writer)
    _orders(world, writer)
    _treatment_effects(world, writer)
    _channel_effects(world, writer)
    _referrals(world, writer)
    _dirt(world, writer)


def _person_ids(person: Ints) -> pa.Array:
    return numbered("person", person + 1, 8)


def _people(world: World, writer: Writer) -> None:
    people, clock = world.people, world.clock
    table = pa.table(
        {
            "person_id": _person_ids(np.arange(people.count)),
            "is_member": people.is_member,
            "joined_on": clock.day(people.joined_day),
            "dropout_on": clock.day(people.dropout_day),
            "fade_on": clock.day(people.fade_day),
            "orders_per_day": people.rate,
            "habit_cycle_days": pa.array(people.habit_cycle, mask=people.habit < 0),
            "sessions_per_day": people.browse_rate,
            "message_effect": people.response,
            "price_sensitivity": people.price_sensitivity,
            "preferred_hour": people.preferred_hour,
            "wecom_deleted_on": clock.day(
                people.deleted_day, ~people.in_wecom | (people.deleted_day >= clock.days)
            ),
        }
    )
    writer.parquet("truth/people", table)


def _identifiers(world: World, writer: Writer) -> None:
    """Every identifier with its owner; a phone that is marked as shared may have several."""
    people, identities = world.people, world.identities
    everybody = np.arange(people.count)
    ordered = _has_order_on(world, (MALL, MINI))
    second_seen = people.joined_day + 60 < world.clock.days
    held: dict[str, tuple[pa.Array, Bools]] = {
        "crm": (identities.member_id, people.is_member),
        "crm second": (identities.second_member_id, identities.has_second & second_seen),
        "wxopen": (identities.unionid, people.on_wechat),
        "wxa": (identities.openid, people.in_mini),
        "wecom": (identities.external_userid, people.in_wecom),
        "yz": (identities.buyer_id, ordered),
        "phone": (
            identities.registered_phone,
            people.is_member
            & identities.registered_phone.is_valid().to_numpy(zero_copy_only=False),
        ),
    }
    shared = np.zeros(people.count, dtype=bool)
    borrowed = identities.phone_owner != everybody
    shared[borrowed] = True
    shared[identities.phone_owner[borrowed]] = True
    shared |= identities.junk_phone
    parts = []
    for namespace, (values, has) in held.items():
        person = np.flatnonzero(has)
        is_phone = namespace == "phone"
        parts.append(
            pa.table(
                {
                    "person_id": _person_ids(person),
                    "namespace": pa.array([namespace.split()[0]] * len(person), pa.string()),
                    "value": pick(values, person),
                    "shared": shared[person] if is_phone else np.zeros(len(person), dtype=bool),
                }
            )
        )
    writer.parquet("truth/identifiers", pa.concat_tables(parts))


def _has_order_on(world: World, channels: tuple[int, ...]) -> Bools:
    orders = world.purchases.orders
    found = np.zeros(world.people.count, dtype=bool)
    found[orders.person[np.isin(orders.channel, channels)]] = True
    return found


def _orders(world: World, writer: Writer) -> None:
    orders, marketing = world.purchases.orders, world.marketing
    order = np.arange(orders.count)
    by_message, by_touch = orders.cause == MESSAGE, orders.cause == TOUCH
    campaign = np.full(orders.count, -1)
    campaign[by_message] = marketing.sends.campaign[orders.source[by_message]]
    channel = np.full(orders.count, -1)
    channel[by_touch] = marketing.touches.channel[orders.source[by_touch]]
    table = pa.table(
        {
            "order_id": order_codes(world, order),
            "person_id": _person_ids(orders.person),
            "ordered_at_local": world.clock.local(orders.ordered_at),
            "channel": label(("store", "mall", "mini_program"), orders.channel),
            "cancelled": orders.cancelled,
            "cause": label(CAUSES, orders.cause),
            "caused_by_campaign": pick(world.catalogue.campaigns.code, campaign, campaign < 0),
            "caused_by_channel": label([name for name, _ in PROCESS.channel_effects], channel),
            "net_fen": world.purchases.order_sum(world.purchases.lines.net_fen),
            "anonymous": world.anonymous & (orders.channel == STORE),
        }
    )
    writer.parquet("truth/orders", table)


def _treatment_effects(world: World, writer: Writer) -> None:
    assigned = world.marketing.assignments
    table = pa.table(
        {
            "experiment_id": numbered("EXP", assigned.experiment + 1, 3),
            "person_id": _person_ids(assigned.person),
            "arm": label(("control", "treatment"), (assigned.arm == TREATMENT).astype(np.int64)),
            "delivered": assigned.delivered,
            "effect_if_delivered": assigned.effect,
        }
    )
    writer.parquet("truth/treatment_effects", table)


def _channel_effects(world: World, writer: Writer) -> None:
    touches, orders = world.marketing.touches, world.purchases.orders
    caused = touches.channel[orders.source[orders.cause == TOUCH]]
    channels = len(PROCESS.channel_effects)
    table = pa.table(
        {
            "channel": [name for name, _ in PROCESS.channel_effects],
            "orders_per_touch": [effect for _, effect in PROCESS.channel_effects],
            "touches": np.bincount(touches.channel, minlength=channels),
            "orders_caused": np.bincount(caused, minlength=channels),
        }
    )
    writer.parquet("truth/channel_effects", table)


def _referrals(world: World, writer: Writer) -> None:
    people = world.people
    person = np.flatnonzero(people.referrer >= 0)
    table = pa.table(
        {
            "person_id": _person_ids(person),
            "referrer_person_id": _person_ids(people.referrer[person]),
            "referred_at_local": world.clock.local(
                people.joined_day[person] * DAY + people.joined_second[person]
            ),
        }
    )
    writer.parquet("truth/referrals", table)


def _dirt(world: World, writer: Writer) -> None:
    found = sorted(world.dirt.counts.items())
    table = pa.table(
        {
            "feed": pa.array([feed for (feed, _), _ in found], pa.string()),
            "kind": pa.array([kind for (_, kind), _ in found], pa.string()),
            "rows": pa.array([rows for _, rows in found], pa.int64()),
        }
    )
    writer.parquet("truth/dirt", table)
