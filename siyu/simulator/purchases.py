"""Orders and all that hangs on them: lines, coupons, refunds.

What belongs here: what was truly bought, in whole fen and local seconds. What does not: how a
selling system writes it down (``pos``, ``mall``).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from siyu.simulator import vocabulary as words
from siyu.simulator.catalogue import Catalogue
from siyu.simulator.draws import Bools, Ints, Streams, choose, positions
from siyu.simulator.marketing import Marketing
from siyu.simulator.parameters import DAY, PROCESS
from siyu.simulator.people import People, active_second
from siyu.simulator.season import Season

FIRST, SPONTANEOUS, HABIT, MESSAGE, TOUCH = range(5)
CAUSES = ("first", "spontaneous", "habit", "message", "touch")
STORE, MALL, MINI = range(3)
COUPON_FEN = np.array([1_000, 2_000, 5_000])
COUPON_THRESHOLD_FEN = COUPON_FEN * 5
COUPON_DAYS = 30

_VOID_SHARE = 0.01
_UNPAID_SHARE = 0.04
_COUPON_ISSUE_SHARE = 0.2
_REFUND_REJECTED_SHARE = 0.06
_AWAY_FROM_HOME_STORE = 0.1


@dataclass(frozen=True)
class Coupons:
    """One row per coupon issued.

    Attributes:
        person, campaign: Indexes.
        kind: Index into ``COUPON_FEN``.
        issued_at: Local second.
        order: Order it was used on, or -1.
    """

    person: Ints
    campaign: Ints
    kind: Ints
    issued_at: Ints
    order: Ints


@dataclass(frozen=True)
class Orders:
    """One row per order, by time.

    Attributes:
        person: Who placed it.
        ordered_at: Local second.
        cause: One of ``CAUSES``.
        source: Row of what caused it, or -1.
        channel: STORE, MALL or MINI.
        store: Index of the store; -1 online.
        staff: Index of the staff credited, or -1.
        cancelled: Voided at the till, or never paid online.
        coupon: Row of the coupon used, or -1.
        campaign: Campaign the selling system credits, or -1.
        sharer: Person whose share led to it, or -1.
        shipping_fen: Shipping charged.
        first_line: Row of its first line; one longer than the orders.
    """

    person: Ints
    ordered_at: Ints
    cause: Ints
    source: Ints
    channel: Ints
    store: Ints
    staff: Ints
    cancelled: Bools
    coupon: Ints
    campaign: Ints
    sharer: Ints
    shipping_fen: Ints
    first_line: Ints

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.person)

    @property
    def lines(self) -> Ints:
        """Number of lines of each."""
        return np.diff(self.first_line)


@dataclass(frozen=True)
class Lines:
    """One row per order line, contiguous by order.

    Attributes:
        order: Its order.
        line_no: From 1 inside the order.
        product: Index.
        quantity: Units.
        price_fen: Price of a unit.
        discount_fen: Discounts on the line, its share of a coupon among them.
    """

    order: Ints
    line_no: Ints
    product: Ints
    quantity: Ints
    price_fen: Ints
    discount_fen: Ints

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.order)

    @property
    def gross_fen(self) -> Ints:
        """Line at list price."""
        return self.quantity * self.price_fen

    @property
    def net_fen(self) -> Ints:
        """Line after discounts."""
        return self.gross_fen - self.discount_fen


@dataclass(frozen=True)
class Refunds:
    """One row per refunded line, by request time.

    Attributes:
        line: Row of the line.
        quantity: Units returned.
        amount_fen: Money returned.
        requested_at: Local second.
        finished_at: Local second of the outcome; may be after the end.
        rejected: Whether the outcome was no.
        reason: Index into ``vocabulary.REFUND_REASONS``.
    """

    line: Ints
    quantity: Ints
    amount_fen: Ints
    requested_at: Ints
    finished_at: Ints
    rejected: Bools
    reason: Ints

    def take(self, rows: Ints) -> Refunds:
        """Those rows, in that order."""
        return Refunds(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


@dataclass(frozen=True)
class Purchases:
    """Everything bought."""

    orders: Orders
    lines: Lines
    coupons: Coupons
    refunds: Refunds

    def order_sum(self, by_line: Ints) -> Ints:
        """A figure of lines, summed by order."""
        return np.add.reduceat(by_line, self.orders.first_line[:-1])


def make_purchases(
    streams: Streams, catalogue: Catalogue, people: People, marketing: Marketing, season: Season
) -> Purchases:
    """All orders of all people over the days of ``season``."""
    placed = _placed(streams, people, marketing, season)
    rng = streams.of("orders")
    channel = _channels(rng, people, placed)
    ordered_at = _moments(rng, people, placed, channel)
    by_time = np.argsort(ordered_at, kind="stable")
    placed = placed.take(by_time)
    channel, ordered_at = channel[by_time], ordered_at[by_time]
    counts = 1 + rng.poisson(PROCESS.extra_lines, len(by_time))
    first_line = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    order = np.repeat(np.arange(len(by_time)), counts)
    product = _products(streams.of("baskets"), catalogue, people, placed, order, counts)
    quantity = rng.geometric(0.85, len(order))
    gross = quantity * catalogue.products.price_fen[product]
    discount = _discounts(rng, people, placed, season, ordered_at, order, gross)
    cancelled = rng.random(len(by_time)) < np.where(channel == STORE, _VOID_SHARE, _UNPAID_SHARE)
    net = np.add.reduceat(gross - discount, first_line[:-1])
    coupons, used = _coupons(
        streams.of("coupons"), catalogue, people, placed.person, ordered_at, net, cancelled, season
    )
    face = np.where(used >= 0, COUPON_FEN[coupons.kind[used]] if len(coupons.kind) else 0, 0)
    discount = discount + _coupon_shares(face, net, gross - discount, order, first_line)
    orders = _orders(
        rng, catalogue, people, marketing, placed, channel, ordered_at, cancelled, used, coupons,
        first_line,
    )  # fmt: skip
    lines = Lines(
        order=order,
        line_no=positions(counts) + 1,
        product=product,
        quantity=quantity,
        price_fen=catalogue.products.price_fen[product],
        discount_fen=discount,
    )
    refunds = _refunds(streams.of("refunds"), orders, lines, season)
    return Purchases(orders, lines, coupons, refunds)


@dataclass(frozen=True)
class _Placed:
    """Orders before anything but who, when and why is known."""

    person: Ints
    day: Ints
    second: Ints
    cause: Ints
    source: Ints

    def take(self, rows: Ints) -> _Placed:
        return _Placed(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def _placed(streams: Streams, people: People, marketing: Marketing, season: Season) -> _Placed:
    first = _first_orders(streams.of("first orders"), people)
    spontaneous = _spontaneous(streams.of("spontaneous orders"), people, season)
    habit = _habitual(streams.of("habit orders"), people, season)
    plain = [(FIRST, *first), (SPONTANEOUS, *spontaneous), (HABIT, *habit)]
    nudged = [(MESSAGE, marketing.by_message), (TOUCH, marketing.by_touch)]
    causes = [np.full(len(person), cause) for cause, person, _ in plain]
    causes += [np.full(len(nudges.person), cause) for cause, nudges in nudged]
    none = [np.full(len(person), -1) for _, person, _ in plain]
    seconds = [np.full(len(person), -1) for _, person, _ in plain]
    placed = _Placed(
        person=np.concatenate([p for _, p, _ in plain] + [n.person for _, n in nudged]),
        day=np.concatenate([d for _, _, d in plain] + [n.ordered_at // DAY for _, n in nudged]),
        second=np.concatenate(seconds + [n.ordered_at % DAY for _, n in nudged]),
        cause=np.concatenate(causes),
        source=np.concatenate(none + [n.source for _, n in nudged]),
    )
    held = (placed.day < season.days) & (placed.day < people.dropout_day[placed.person])
    return placed.take(np.flatnonzero(held))


def _first_orders(rng: np.random.Generator, people: People) -> tuple[Ints, Ints]:
    buys = ~people.is_member | (rng.random(people.count) < PROCESS.first_order_share)
    person = np.flatnonzero(buys)
    return person, people.joined_day[person]


def _spontaneous(rng: np.random.Generator, people: People, season: Season) -> tuple[Ints, Ints]:
    """A Poisson process at each person's rate, run by the season's clock while they are alive."""
    start, end = people.joined_day + 1, np.minimum(people.dropout_day, season.days)
    counts = rng.poisson(people.rate * season.between(start, end))
    person = np.repeat(np.arange(people.count), counts)
    return person, season.draw(rng, start[person], end[person])


def _habitual(rng: np.random.Generator, people: People, season: Season) -> tuple[Ints, Ints]:
    """A renewal process: what is used up is bought again."""
    owner = np.flatnonzero(people.habit >= 0)
    shape = PROCESS.habit_gap_shape
    cycle = people.habit_cycle[owner]
    rounds = int(season.days / max(cycle.min(), 5.0) * 1.3) + 2 if len(owner) else 0
    day = people.joined_day[owner].astype(np.float64)
    end = np.minimum(people.dropout_day[owner], season.days)
    persons, days = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for _ in range(rounds):
        day = day + cycle * rng.gamma(shape, 1 / shape, len(owner))
        due = day < end
        persons.append(owner[due])
        days.append(day[due].astype(np.int64))
        if not due.any():
            break
    return np.concatenate(persons), np.concatenate(days)


def _channels(rng: np.random.Generator, people: People, placed: _Placed) -> Ints:
    channel = choose(rng, people.channel, placed.person)
    # A nudge is answered where it leads to: online.
    online = people.channel[placed.person, 1:]
    to_mini = rng.random(len(channel)) < online[:, 1] / online.sum(axis=1)
    return np.where(placed.cause >= MESSAGE, np.where(to_mini, MINI, MALL), channel)


def _moments(rng: np.random.Generator, people: People, placed: _Placed, channel: Ints) -> Ints:
    usual = active_second(rng, people.preferred_hour[placed.person], channel == STORE)
    joining = people.joined_second[placed.person] + 240
    second = np.where(placed.cause == FIRST, joining, usual)
    return placed.day * DAY + np.where(placed.second >= 0, placed.second, second)


def _products(
    rng: np.random.Generator,
    catalogue: Catalogue,
    people: People,
    placed: _Placed,
    order: Ints,
    counts: Ints,
) -> Ints:
    category = choose(rng, people.taste, placed.person[order])
    is_habit = (positions(counts) == 0) & (placed.cause[order] == HABIT)
    category = np.where(is_habit, people.habit[placed.person[order]], category)
    return catalogue.products.popular(rng, category)


def _discounts(
    rng: np.random.Generator,
    people: People,
    placed: _Placed,
    season: Season,
    ordered_at: Ints,
    order: Ints,
    gross: Ints,
) -> Ints:
    """Festival prices for all, and more of them for those who look for bargains."""
    festival = season.factor[ordered_at // DAY] > 1.75
    sensitivity = people.price_sensitivity[placed.person]
    rate = np.where(festival, 0.15, 0.02) + 0.15 * sensitivity * rng.random(len(ordered_at))
    return (gross * rate[order] / 10).astype(np.int64) * 10


def _coupons(
    rng: np.random.Generator,
    catalogue: Catalogue,
    people: People,
    buyer: Ints,
    ordered_at: Ints,
    net: Ints,
    cancelled: Bools,
    season: Season,
) -> tuple[Coupons, Ints]:
    """Coupons issued, and for each order the coupon used on it, or -1."""
    persons, campaigns = [], []
    for number in np.flatnonzero(catalogue.campaigns.gives_coupons):
        start = catalogue.campaigns.start_day[number]
        known = np.flatnonzero(people.is_member & (people.joined_day < start))
        chosen = known[rng.random(len(known)) < _COUPON_ISSUE_SHARE]
        persons.append(chosen)
        campaigns.append(np.full(len(chosen), number))
    person = np.concatenate([np.zeros(0, dtype=np.int64), *persons])
    campaign = np.concatenate([np.zeros(0, dtype=np.int64), *campaigns])
    kind = rng.integers(0, len(COUPON_FEN), len(person))
    issued_at = catalogue.campaigns.start_day[campaign] * DAY + rng.integers(
        6 * 3600, 9 * 3600, len(person)
    )
    order = _next_order(buyer, ordered_at, person, issued_at, season)
    fits = (order >= 0) & (ordered_at[order] < issued_at + COUPON_DAYS * DAY)
    fits &= (net[order] >= COUPON_THRESHOLD_FEN[kind]) & ~cancelled[order]
    fits &= rng.random(len(person)) < 0.15 + 0.85 * people.price_sensitivity[person]
    used = np.full(len(buyer), -1)
    # Of two coupons that meet on one order, the later one wins.
    used[order[fits]] = np.flatnonzero(fits)
    won = np.full(len(person), -1)
    won[used[used >= 0]] = np.flatnonzero(used >= 0)
    return Coupons(person, campaign, kind, issued_at, won), used


def _next_order(buyer: Ints, ordered_at: Ints, person: Ints, after: Ints, season: Season) -> Ints:
    """For each person the first order after a moment, or -1."""
    span = (season.days + 1) * DAY
    key = buyer * span + ordered_at
    by_key = np.argsort(key, kind="stable")
    found = np.searchsorted(key[by_key], person * span + after, side="right")
    candidate = by_key[np.minimum(found, len(by_key) - 1)]
    return np.where((found < len(by_key)) & (buyer[candidate] == person), candidate, -1)


def _coupon_shares(face: Ints, order_net: Ints, line_net: Ints, order: Ints, first: Ints) -> Ints:
    """Each line's part of its order's coupon, to the fen; the first line takes the rest."""
    part = face[order] * line_net // np.maximum(order_net[order], 1)
    part[first[:-1]] += face - np.add.reduceat(part, first[:-1])
    return part


def _orders(
    rng: np.random.Generator,
    catalogue: Catalogue,
    people: People,
    marketing: Marketing,
    placed: _Placed,
    channel: Ints,
    ordered_at: Ints,
    cancelled: Bools,
    used: Ints,
    coupons: Coupons,
    first_line: Ints,
) -> Orders:
    count = len(ordered_at)
    away = rng.random(count) < _AWAY_FROM_HOME_STORE
    elsewhere = rng.integers(0, catalogue.stores.count, count)
    store = np.where(away, elsewhere, people.home_store[placed.person])
    staff = catalogue.staff.serving(rng, store, ordered_at // DAY)
    by_message = placed.cause == MESSAGE
    campaign = np.where(
        by_message, marketing.sends.campaign[np.where(by_message, placed.source, 0)], -1
    )
    campaign = np.where(
        used >= 0, coupons.campaign[used] if len(coupons.campaign) else -1, campaign
    )
    shared = (channel == MINI) & (rng.random(count) < PROCESS.shared_order_share)
    users = np.flatnonzero(people.in_mini)
    friend = users[rng.integers(0, len(users), count)]
    return Orders(
        person=placed.person,
        ordered_at=ordered_at,
        cause=placed.cause,
        source=placed.source,
        channel=channel,
        store=np.where(channel == STORE, store, -1),
        staff=np.where(channel == STORE, staff, -1),
        cancelled=cancelled,
        coupon=used,
        campaign=campaign,
        sharer=np.where(shared & (friend != placed.person), friend, -1),
        shipping_fen=np.where((channel != STORE) & (rng.random(count) < 0.3), 800, 0),
        first_line=first_line,
    )


def _refunds(rng: np.random.Generator, orders: Orders, lines: Lines, season: Season) -> Refunds:
    net = lines.net_fen
    possible = ~orders.cancelled[lines.order] & (net > 0)
    line = np.flatnonzero(possible & (rng.random(lines.count) < PROCESS.refund_share))
    wait = (DAY * (0.5 + rng.exponential(PROCESS.refund_days, len(line)))).astype(np.int64)
    requested_at = orders.ordered_at[lines.order[line]] + wait
    kept = requested_at < season.days * DAY
    line, requested_at = line[kept], requested_at[kept]
    part = rng.random(len(line)) < 0.3
    quantity = np.where(part, (lines.quantity[line] + 1) // 2, lines.quantity[line])
    by_time = np.argsort(requested_at, kind="stable")
    return Refunds(
        line=line,
        quantity=quantity,
        amount_fen=net[line] * quantity // lines.quantity[line],
        requested_at=requested_at,
        finished_at=requested_at + (DAY * rng.uniform(0.1, 6, len(line))).astype(np.int64),
        rejected=rng.random(len(line)) < _REFUND_REJECTED_SHARE,
        reason=rng.integers(0, len(words.REFUND_REASONS), len(line)),
    ).take(by_time)
