"""Who the customers are: their traits and their lifetimes.

What belongs here: what is true of a person before the retailer does anything to them. What does
not: what systems call them (``identities``), orders (``purchases``), messages (``marketing``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from siyu.simulator import vocabulary as words
from siyu.simulator.catalogue import Catalogue
from siyu.simulator.draws import Bools, Floats, Ints, Streams
from siyu.simulator.parameters import DAY, PROCESS
from siyu.simulator.season import Season

NEVER = 30_000
"""A day far after every simulation."""


@dataclass(frozen=True)
class People:
    """Everybody, members first, then guests. All arrays have one entry a person.

    Attributes:
        members: How many of them are members.
        joined_day: First day with the retailer.
        joined_second: Second of that day.
        dropout_day: First day on which they buy no more; may be far beyond the end.
        fade_day: Day on which their interest begins to fall.
        rate: Spontaneous orders a day while alive, on an ordinary day.
        browse_rate: Browsing sessions a day while engaged.
        response: Extra orders that one delivered message causes.
        price_sensitivity: 0 to 1; how much coupons and discounts sway them.
        preferred_hour: Hour of the day around which they are active.
        taste: Odds of each category; rows sum to 1.
        habit: Category bought on a cycle, or -1.
        habit_cycle: Mean days of that cycle.
        home_store: Index of their store.
        place: Index into ``vocabulary.PLACES``.
        channel: Odds of store, mall and mini-program; rows sum to 1.
        referrer: Person who brought them, or -1.
        on_wechat: Whether they have a unionid, as nearly all do.
        in_mini: Whether they ever use the mini-program, and so have an openid.
        in_wecom: Whether they add staff on WeCom.
        contact_day: Day on which they do.
        contact_staff: Index of the staff.
        deleted_day: Day on which they delete them, or NEVER.
        withdrawn_day: Day on which they withdraw consent to marketing, or NEVER.
    """

    members: int
    joined_day: Ints
    joined_second: Ints
    dropout_day: Ints
    fade_day: Ints
    rate: Floats
    browse_rate: Floats
    response: Floats
    price_sensitivity: Floats
    preferred_hour: Ints
    taste: Floats
    habit: Ints
    habit_cycle: Floats
    home_store: Ints
    place: Ints
    channel: Floats
    referrer: Ints
    on_wechat: Bools
    in_mini: Bools
    in_wecom: Bools
    contact_day: Ints
    contact_staff: Ints
    deleted_day: Ints
    withdrawn_day: Ints

    @property
    def count(self) -> int:
        """How many people there are."""
        return len(self.joined_day)

    @property
    def is_member(self) -> Bools:
        """Whether each is a member."""
        return np.arange(self.count) < self.members


def make_people(streams: Streams, members: int, catalogue: Catalogue, season: Season) -> People:
    """``members`` members and the guests that come with them."""
    count = members + int(members * PROCESS.guests_per_member)
    is_member = np.arange(count) < members
    rng = streams.of("people")
    joined = _joined_days(rng, count, season)
    dropout = joined + _lifetimes(rng, count)
    low, high = PROCESS.fade_days
    fade = np.maximum(joined, dropout - rng.integers(low, high + 1, count))
    rate = rng.gamma(PROCESS.rate_shape, PROCESS.rate_mean / PROCESS.rate_shape, count)
    sensitivity = rng.beta(2, 3, count)
    on_wechat = rng.random(count) < 0.95
    in_mini = on_wechat & (rng.random(count) < 0.92)
    taste = rng.dirichlet(np.full(len(words.CATEGORIES), 0.7), count)
    habit, cycle = _habits(rng, taste)
    store = rng.integers(0, catalogue.stores.count, count)
    in_wecom = on_wechat & is_member & (rng.random(count) < 0.66)
    contact_day = joined + rng.exponential(15, count).astype(np.int64)
    in_wecom &= contact_day < np.minimum(dropout, season.days)
    return People(
        members=members,
        joined_day=joined,
        joined_second=rng.integers(10 * 3600, 21 * 3600, count),
        dropout_day=dropout,
        fade_day=fade,
        rate=rate,
        browse_rate=_browse_rates(rng, rate),
        response=_responses(rng, sensitivity),
        price_sensitivity=sensitivity,
        preferred_hour=rng.choice(
            np.arange(8, 24), count, p=_normalised([2, 2, 3, 3, 5, 4, 3, 3, 3, 3, 4, 6, 8, 9, 7, 3])
        ),
        taste=taste,
        habit=habit,
        habit_cycle=cycle,
        home_store=store,
        place=catalogue.stores.place[store],
        channel=_channels(rng, is_member, in_mini),
        referrer=_referrers(rng, joined, is_member, in_mini),
        on_wechat=on_wechat,
        in_mini=in_mini,
        in_wecom=in_wecom,
        contact_day=contact_day,
        contact_staff=catalogue.staff.serving(rng, store, np.minimum(contact_day, season.days)),
        deleted_day=_leaving(
            rng, contact_day, dropout, PROCESS.delete_share, PROCESS.delete_idle_share
        ),
        withdrawn_day=_leaving(
            rng, joined, dropout, PROCESS.withdraw_share, PROCESS.withdraw_idle_share
        ),
    )


def active_second(rng: np.random.Generator, preferred_hour: Ints, open_hours: Bools) -> Ints:
    """A second of the day near each preferred hour; between 10 and 22 where ``open_hours``."""
    hour = preferred_hour + 0.5 + rng.normal(0, PROCESS.hour_sd, len(preferred_hour))
    # Who prefers an hour at which the store is shut comes at any time that it is open.
    shut = open_hours & ((hour < 10) | (hour >= 21.9))
    hour = np.where(shut, rng.uniform(10, 21.9, len(hour)), hour % 24)
    return np.minimum((hour * 3600).astype(np.int64), DAY - 1)


def _joined_days(rng: np.random.Generator, count: int, season: Season) -> Ints:
    opening = rng.exponential(PROCESS.opening_days, count).astype(np.int64) % season.days
    start = np.zeros(count, dtype=np.int64)
    later = season.draw(rng, start, start + season.days)
    return np.where(rng.random(count) < PROCESS.opening_share, opening, later)


def _lifetimes(rng: np.random.Generator, count: int) -> Ints:
    """Days until dropout, at least one: exponential, each at a rate of their own."""
    shape = PROCESS.dropout_shape
    rate = rng.gamma(shape, PROCESS.dropout_mean / shape, count)
    days = rng.exponential(1, count) / np.maximum(rate, 1e-6)
    return np.clip(np.ceil(days), 1, NEVER).astype(np.int64)


def _browse_rates(rng: np.random.Generator, rate: Floats) -> Floats:
    own = rng.gamma(PROCESS.browse_shape, 1 / PROCESS.browse_shape, len(rate))
    tied = (rate / PROCESS.rate_mean + 0.05) ** PROCESS.browse_rate_link
    return np.asarray(PROCESS.browse_mean * own * tied / tied.mean())


def _responses(rng: np.random.Generator, sensitivity: Floats) -> Floats:
    """Rises steeply with price sensitivity, so that uplift can be learnt from coupon use."""
    raw = (0.15 + 4 * sensitivity**2) * rng.gamma(2, 0.5, len(sensitivity))
    return np.asarray(np.minimum(0.6, PROCESS.response_mean * raw / raw.mean()))


def _habits(rng: np.random.Generator, taste: Floats) -> tuple[Ints, Floats]:
    cycles = np.array([found.cycle_days or 0.0 for found in words.CATEGORIES])
    liked = np.where(cycles > 0, taste, -1).argmax(axis=1)
    has_one = rng.random(len(taste)) < PROCESS.habit_share
    own = rng.lognormal(0, 0.2, len(taste))
    return np.where(has_one, liked, -1), cycles[liked] * own


def _channels(rng: np.random.Generator, is_member: Bools, in_mini: Bools) -> Floats:
    odds = rng.dirichlet([1.6, 0.9, 0.9], len(is_member))
    odds[:, 0] = np.where(is_member, odds[:, 0], 0)
    odds[:, 1] += 0.02
    odds[:, 2] = np.where(in_mini, odds[:, 2], 0)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _referrers(rng: np.random.Generator, joined: Ints, is_member: Bools, in_mini: Bools) -> Ints:
    """Somebody with the mini-program who joined before; -1 for who came alone."""
    possible = np.flatnonzero(is_member & in_mini)
    possible = possible[np.argsort(joined[possible], kind="stable")]
    before = np.searchsorted(joined[possible], joined, side="left")
    drawn = possible[(rng.random(len(joined)) * before).astype(np.int64)]
    referred = (
        is_member & in_mini & (before > 0) & (rng.random(len(joined)) < PROCESS.referred_share)
    )
    return np.where(referred, drawn, -1)


def _leaving(
    rng: np.random.Generator, start: Ints, dropout: Ints, share: float, idle_share: float
) -> Ints:
    """Day of deleting or unsubscribing: mostly in the weeks around dropout, seldom at random."""
    count = len(start)
    around = dropout + rng.integers(-28, 15, count)
    idle = start + 1 + (rng.random(count) * np.minimum(dropout - start, 700)).astype(np.int64)
    drawn = rng.random(count)
    day = np.where(drawn < share, around, np.where(drawn < share + idle_share, idle, NEVER * 2))
    return np.maximum(day, start + 1)


def _normalised(weights: list[float]) -> list[float]:
    return [weight / sum(weights) for weight in weights]
