"""What people do in the mini-program, session by session.

What belongs here: sessions with their reason, and the events inside each. What does not: the
tracker's files (``mini_program``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from siyu.simulator.catalogue import Catalogue
from siyu.simulator.draws import Bools, Floats, Ints, Streams, choose, positions
from siyu.simulator.marketing import SENT, Marketing
from siyu.simulator.parameters import DAY, PROCESS
from siyu.simulator.people import People, active_second
from siyu.simulator.purchases import Purchases
from siyu.simulator.season import Season

BROWSE, WINDOW, INTENT, TOUCH, MESSAGE, WELCOME = range(6)

EVENT_NAMES = (
    "launch", "page_view", "search", "product_view", "add_to_cart", "begin_checkout", "share",
    "coupon_view", "message_click",
)  # fmt: skip
_LAUNCH, _PAGE, _SEARCH, _PRODUCT, _CART, _CHECKOUT, _SHARE, _COUPON, _CLICK = range(9)
_MIDDLE = np.array([_PRODUCT, _PRODUCT, _PRODUCT, _PAGE, _PAGE, _SEARCH, _COUPON])
_MEAN_EVENTS_BEYOND_FIRST = np.array([1.9, 3.4, 3.6, 1.2, 1.4, 1.0])
_MESSAGE_CLICK_SHARE = 0.12


@dataclass(frozen=True)
class Sessions:
    """One row per session, by time.

    Attributes:
        person: Index.
        started_at: Local second.
        reason: BROWSE, WINDOW (into the cart without buying), INTENT, TOUCH, MESSAGE, WELCOME.
        product: Product most looked at.
        campaign: Index, or -1.
        channel: Advertising channel of a touch, or -1.
        sharer: Person whose share opened it, or -1.
    """

    person: Ints
    started_at: Ints
    reason: Ints
    product: Ints
    campaign: Ints
    channel: Ints
    sharer: Ints

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.person)

    def take(self, rows: Ints) -> Sessions:
        """Those rows, in that order."""
        return Sessions(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


@dataclass(frozen=True)
class Events:
    """One row per event, contiguous by session.

    Attributes:
        session: Row of the session.
        occurred_ms: Local milliseconds.
        name: Index into ``EVENT_NAMES``.
        product: Index, or -1.
    """

    session: Ints
    occurred_ms: Ints
    name: Ints
    product: Ints


def make_sessions(
    streams: Streams,
    catalogue: Catalogue,
    people: People,
    marketing: Marketing,
    purchases: Purchases,
    season: Season,
) -> Sessions:
    """All sessions of all people over the days of ``season``."""
    parts = [
        _browsing(streams.of("browsing"), catalogue, people, season),
        _intent(streams.of("intent"), people, purchases),
        _touches(streams.of("touch sessions"), catalogue, people, marketing),
        _clicks(streams.of("message clicks"), catalogue, people, marketing),
        _welcome(streams.of("welcome"), catalogue, people),
    ]
    together = Sessions(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Sessions)
        }
    )
    held = (together.started_at >= 0) & (together.started_at < season.days * DAY)
    rows = np.flatnonzero(held)
    return together.take(rows[np.argsort(together.started_at[rows], kind="stable")])


def monthly_events(
    streams: Streams, catalogue: Catalogue, sessions: Sessions, month_starts: Ints
) -> Iterator[Events]:
    """The events of the sessions that start in each month, a month at a time.

    Args:
        streams: Random streams.
        catalogue: The retailer.
        sessions: All sessions.
        month_starts: Day on which each month begins.
    """
    cuts = np.append(np.searchsorted(sessions.started_at, month_starts * DAY), sessions.count)
    for month, (low, high) in enumerate(pairwise(cuts)):
        yield _events(streams.of(f"events {month}"), catalogue, sessions, int(low), int(high))


def interest(people: People, person: Ints, day: Ints) -> Floats:
    """How much of a person's interest is left on a day: 1, falling before dropout, then little."""
    fade, dropout = people.fade_day[person], people.dropout_day[person]
    along = np.clip((day - fade) / np.maximum(dropout - fade, 1), 0, 1)
    falling = 1 - (1 - PROCESS.fade_floor) * along
    left = np.where(day >= dropout, PROCESS.after_floor, falling)
    return np.where(day < people.joined_day[person], 0.0, left)


def _browsing(
    rng: np.random.Generator, catalogue: Catalogue, people: People, season: Season
) -> Sessions:
    start = people.joined_day + 1
    end = np.full(people.count, season.days)
    wanted = people.browse_rate * season.between(start, end) * people.in_mini
    person = np.repeat(np.arange(people.count), rng.poisson(wanted))
    day = season.draw(rng, start[person], end[person])
    kept = rng.random(len(person)) < interest(people, person, day)
    person, day = person[kept], day[kept]
    hours = people.preferred_hour[person]
    at = day * DAY + active_second(rng, hours, np.zeros(len(person), dtype=bool))
    reason = np.where(rng.random(len(person)) < PROCESS.window_share, WINDOW, BROWSE)
    category = choose(rng, people.taste, person)
    return _sessions(person, at, reason, catalogue.products.popular(rng, category))


def _intent(rng: np.random.Generator, people: People, purchases: Purchases) -> Sessions:
    """Looking at what will be bought, some days before; often more than once."""
    orders = purchases.orders
    browsed = people.in_mini[orders.person] & (rng.random(orders.count) < PROCESS.intent_share)
    looks = np.where(browsed, rng.choice([1, 2], orders.count, p=[0.75, 0.25]), 0)
    row = np.repeat(np.arange(orders.count), looks)
    before = (300 + DAY * rng.exponential(PROCESS.intent_days, len(row))).astype(np.int64)
    at = orders.ordered_at[row] - before
    person = orders.person[row]
    kept = at // DAY >= people.joined_day[person]
    row, at, person = row[kept], at[kept], person[kept]
    product = purchases.lines.product[orders.first_line[row]]
    found = _sessions(person, at, np.full(len(row), INTENT), product)
    return Sessions(**{**vars(found), "sharer": orders.sharer[row]})


def _touches(
    rng: np.random.Generator, catalogue: Catalogue, people: People, marketing: Marketing
) -> Sessions:
    touches = marketing.touches
    category = choose(rng, people.taste, touches.person)
    found = _sessions(
        touches.person,
        touches.touched_at,
        np.full(len(touches.person), TOUCH),
        catalogue.products.popular(rng, category),
    )
    return Sessions(**{**vars(found), "campaign": touches.campaign, "channel": touches.channel})


def _clicks(
    rng: np.random.Generator, catalogue: Catalogue, people: People, marketing: Marketing
) -> Sessions:
    sends = marketing.sends
    able = (sends.status == SENT) & people.in_mini[sends.person]
    able[able] = interest(people, sends.person[able], sends.sent_at[able] // DAY) > rng.random(
        int(able.sum())
    )
    row = np.flatnonzero(able & (rng.random(len(able)) < _MESSAGE_CLICK_SHARE))
    person = sends.person[row]
    at = sends.sent_at[row] + 30 + (3600 * rng.exponential(3, len(row))).astype(np.int64)
    category = choose(rng, people.taste, person)
    found = _sessions(
        person, at, np.full(len(row), MESSAGE), catalogue.products.popular(rng, category)
    )
    return Sessions(**{**vars(found), "campaign": sends.campaign[row]})


def _welcome(rng: np.random.Generator, catalogue: Catalogue, people: People) -> Sessions:
    """The session in which a person joins; a referred one comes by their friend's share."""
    person = np.flatnonzero(people.in_mini & (rng.random(people.count) < 0.8))
    at = people.joined_day[person] * DAY + people.joined_second[person] - 60
    category = choose(rng, people.taste, person)
    found = _sessions(
        person, at, np.full(len(person), WELCOME), catalogue.products.popular(rng, category)
    )
    return Sessions(**{**vars(found), "sharer": people.referrer[person]})


def _sessions(person: Ints, at: Ints, reason: Ints, product: Ints) -> Sessions:
    none = np.full(len(person), -1)
    return Sessions(person, at, reason, product, none, none, none)


def _events(
    rng: np.random.Generator, catalogue: Catalogue, sessions: Sessions, low: int, high: int
) -> Events:
    reason = sessions.reason[low:high]
    counts = 1 + rng.poisson(_MEAN_EVENTS_BEYOND_FIRST[reason])
    session = np.repeat(np.arange(low, high), counts)
    step = positions(counts)
    of = reason[session - low]
    name = _MIDDLE[rng.integers(0, len(_MIDDLE), len(session))]
    name = np.where((step == 1) & (of >= WINDOW), _PRODUCT, name)
    last = step == np.repeat(counts, counts) - 1
    into_cart = last & (step >= 2) & ((of == INTENT) | (of == WINDOW))
    name = np.where(into_cart, _CART, name)
    checkout = into_cart & (rng.random(len(session)) < np.where(of == INTENT, 0.3, 0.1))
    name = np.where(checkout, _CHECKOUT, name)
    name = np.where(last & (step >= 1) & (rng.random(len(session)) < 0.02), _SHARE, name)
    name = np.where(step == 0, np.where(of == MESSAGE, _CLICK, _LAUNCH), name)
    gap = np.repeat(rng.integers(4_000, 70_000, len(counts)), counts)
    occurred = sessions.started_at[session] * 1000 + step * gap
    return Events(session, occurred, name, _looked_at(rng, catalogue, sessions, session, name))


def _looked_at(
    rng: np.random.Generator, catalogue: Catalogue, sessions: Sessions, session: Ints, name: Ints
) -> Ints:
    """Mostly the session's product, sometimes a neighbour of it."""
    has_one: Bools = np.isin(name, [_PRODUCT, _CART, _CHECKOUT, _SHARE])
    main = sessions.product[session]
    size = catalogue.products.per_category
    other = main // size * size + rng.integers(0, size, len(main))
    strays = (name == _PRODUCT) & (rng.random(len(main)) < 0.35)
    return np.where(has_one, np.where(strays, other, main), -1)
