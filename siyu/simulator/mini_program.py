"""The mini-program's own tracker: one JSON line an event, by the month in which it was logged.

What belongs here: the tracker's fields. What does not: what people do (``sessions``).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from siyu.simulator.draws import Floats, Ints, numbered, pick
from siyu.simulator.parameters import DAY
from siyu.simulator.sessions import EVENT_NAMES, MESSAGE, TOUCH, Events, monthly_events
from siyu.simulator.world import World, label, struct
from siyu.simulator.writing import Writer

APPID = "wxdemo0123456789ab"
_FEED = "mini_program.events"
_PATHS = {
    "launch": "pages/home/index",
    "page_view": "pages/category/index",
    "search": "pages/search/index",
    "product_view": "pages/goods/detail",
    "add_to_cart": "pages/goods/detail",
    "begin_checkout": "pages/order/confirm",
    "share": "pages/goods/detail",
    "coupon_view": "pages/coupon/list",
    "message_click": "pages/activity/index",
}
_USUAL_SCENES = np.array([1001, 1089, 1011, 1047])
# By ``PROCESS.channel_effects``: Moments ad, article, official-account menu, subscription message.
_TOUCH_SCENES = np.array([1045, 1058, 1035, 1014])
_MESSAGE_SCENE, _SHARE_SCENE = 1007, 1008


def write_mini_program(world: World, writer: Writer) -> None:
    """Write the tracker's events, a month in memory at a time."""
    facts = _session_facts(world)
    starts, names = world.clock.month_starts(), world.clock.month_names()
    ends = np.append(starts[1:], world.clock.days) * DAY * 1000
    # A late event of the first of four days is still logged before the end.
    closing = int(np.flatnonzero(starts + 4 <= world.clock.days)[-1])
    waiting, first = None, 1
    parts = monthly_events(world.streams, world.catalogue, world.sessions, starts)
    for number, (events, name, end) in enumerate(zip(parts, names, ends, strict=True)):
        rng = world.streams.of(f"tracker {number}")
        table = _table(world, rng, events, facts, first, number == closing)
        first += table.num_rows
        table = _dirty(world, rng, table, number == closing)
        table = table if waiting is None else pa.concat_tables([waiting, table])
        logged = table["log_ts"].to_numpy() - _origin_ms(world)
        order = np.argsort(logged, kind="stable")
        now = order[logged[order] < end]
        # What is logged after the month's end is in the next month's file.
        waiting = table.take(pa.array(order[len(now) :]))
        if len(now):
            writer.jsonl(f"mini_program/events_{name}", table.take(pa.array(now)))


def _session_facts(world: World) -> pa.Table:
    """What all events of a session have in common."""
    sessions, people, identities = world.sessions, world.people, world.identities
    rng, person = world.streams.of("session facts"), world.sessions.person
    logged_in = people.is_member[person] & (rng.random(sessions.count) < 0.5)
    feed, kind = "mini_program.sessions", "missing_unionid"
    lacks = world.dirt.sprinkle(rng, feed, kind, sessions.count, closing=True)
    world.dirt.counts[feed, kind] = int(lacks.sum())
    scene = _USUAL_SCENES[rng.integers(0, len(_USUAL_SCENES), sessions.count)]
    scene = np.select(
        [sessions.reason == TOUCH, sessions.reason == MESSAGE, sessions.sharer >= 0],
        [_TOUCH_SCENES[np.maximum(sessions.channel, 0)], _MESSAGE_SCENE, _SHARE_SCENE],
        scene,
    )
    return pa.table(
        {
            "openid": pick(identities.openid, person),
            "unionid": pick(identities.unionid, person, lacks),
            "user_id": pick(identities.member_id, person, ~logged_in),
            "session_id": numbered("s", np.arange(1, sessions.count + 1), 9),
            "scene": scene,
            "campaign": pick(
                world.catalogue.campaigns.code, sessions.campaign, sessions.campaign < 0
            ),
            "share_from_openid": pick(identities.openid, sessions.sharer, sessions.sharer < 0),
            "clock_error_ms": (rng.normal(0, 2_000, sessions.count)).astype(np.int64),
        }
    )


def _table(
    world: World,
    rng: np.random.Generator,
    events: Events,
    facts: pa.Table,
    first: int,
    closing: bool,
) -> pa.Table:
    count = len(events.session)
    server = _origin_ms(world) + events.occurred_ms
    late = world.dirt.sprinkle(rng, _FEED, "late", count, closing)
    wait = np.where(late, _late_ms(rng.random(count)), rng.integers(200, 3_000, count))
    world.dirt.counts[_FEED, "late"] += int((late & (server + wait < _end_ms(world))).sum())
    of = facts.take(pa.array(events.session))
    paths = label(list(_PATHS.values()), events.name)
    return pa.table(
        {
            "event_id": numbered("ev", np.arange(first, first + count), 11),
            "appid": pa.array([APPID]).take(pa.array(np.zeros(count, dtype=np.int64))),
            "openid": of["openid"],
            "unionid": of["unionid"],
            "user_id": of["user_id"],
            "session_id": of["session_id"],
            "scene": of["scene"],
            "path": paths,
            "query": struct(
                {
                    "goods_id": pick(
                        world.catalogue.products.code, events.product, events.product < 0
                    ),
                    "campaign_id": of["campaign"],
                }
            ),
            "event_name": label(EVENT_NAMES, events.name),
            "client_ts": server + of["clock_error_ms"].to_numpy(),
            "server_ts": server,
            "log_ts": server + wait,
            "share_from_openid": of["share_from_openid"],
        }
    )


def _late_ms(drawn: Floats) -> Ints:
    """Between an hour and three days, mostly hours."""
    return (3_600_000 * (1 + 71 * drawn**3)).astype(np.int64)


def _dirty(world: World, rng: np.random.Generator, table: pa.Table, closing: bool) -> pa.Table:
    logged = table["log_ts"].to_numpy() < _end_ms(world)

    def some(feed: str, kind: str) -> pa.Table:
        marked = world.dirt.sprinkle(rng, feed, kind, table.num_rows, closing)
        world.dirt.counts[feed, kind] += int((marked & logged).sum())
        return table.take(pa.array(np.flatnonzero(marked)))

    parts = [table, some(_FEED, "duplicate")]
    for column in ("event_id", "event_name", "server_ts"):
        copies = some(f"{_FEED} missing {column}", "invalid")
        # A copy has an id of its own, so that it never hides the true event.
        own = pa.compute.binary_join_element_wise(copies["event_id"], column, "-")
        copies = _replaced(copies, "event_id", own)
        blank = pa.nulls(copies.num_rows, table.schema.field(column).type)
        parts.append(_replaced(copies, column, blank))
    return pa.concat_tables(parts)


def _replaced(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), values)


def _origin_ms(world: World) -> int:
    return int(world.clock.unix(np.zeros(1, dtype=np.int64))[0]) * 1000


def _end_ms(world: World) -> int:
    """The first millisecond of which nothing is logged yet."""
    return _origin_ms(world) + world.clock.end * 1000
