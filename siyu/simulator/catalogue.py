"""What the retailer has: stores, staff, products, campaigns, content, experiments.

What belongs here: the retailer's own things, made before any customer exists. What does not: who
receives a campaign or what it does to them (``marketing``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from siyu.simulator import vocabulary as words
from siyu.simulator.draws import Bools, Floats, Ints, Streams, numbered, tokens
from siyu.simulator.season import Season

ONLINE_SHOPS = (("W001", "拾光商城", "mall"), ("X001", "拾光小程序", "mini_program"))
PRODUCTS_PER_KIND = 6
EXPERIMENT_DAYS = 28
MEMBERS_PER_STORE = 1_500
MEMBERS_PER_STAFF = 220


@dataclass(frozen=True)
class Stores:
    """Physical stores.

    Attributes:
        code: Store number.
        place: Index into ``vocabulary.PLACES``.
    """

    code: pa.Array
    place: Ints

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.place)


@dataclass(frozen=True)
class Staff:
    """People who serve customers; the first of each store is its manager, who never leaves.

    Attributes:
        userid: WeCom user id.
        store: Index of their store.
        hired_day, left_day: Days of the simulation; ``left_day`` is beyond the end for who stays.
        compliance: Probability that they confirm a mass message they are asked to send.
        per_store: Staff of each store, contiguous.
    """

    userid: pa.Array
    store: Ints
    hired_day: Ints
    left_day: Ints
    compliance: Floats
    per_store: int

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.store)

    def serving(self, rng: np.random.Generator, store: Ints, day: Ints) -> Ints:
        """Somebody of each store who works there on that day."""
        first = store * self.per_store
        drawn = first + rng.integers(0, self.per_store, len(store))
        return np.where((self.hired_day[drawn] <= day) & (day < self.left_day[drawn]), drawn, first)


@dataclass(frozen=True)
class Products:
    """Goods on sale, contiguous by category.

    Attributes:
        code: Product number.
        name: Name.
        category: Index into ``vocabulary.CATEGORIES``.
        kind: Index into the category's kinds.
        brand: Index into ``vocabulary.BRANDS``.
        price_fen, cost_fen: List price and cost of a unit.
        per_category: Products of each category.
    """

    code: pa.Array
    name: list[str]
    category: Ints
    kind: Ints
    brand: Ints
    price_fen: Ints
    cost_fen: Ints
    per_category: int

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.category)

    def popular(self, rng: np.random.Generator, category: Ints) -> Ints:
        """A product of each category; few are bought much, most little."""
        rank = (rng.random(len(category)) ** 2 * self.per_category).astype(np.int64)
        return category * self.per_category + rank


@dataclass(frozen=True)
class Campaigns:
    """Campaigns; those with an experiment come last.

    Attributes:
        code: Campaign number.
        name: Name.
        festival: Whether it belongs to a shopping festival.
        start_day, end_day: First and last day.
        gives_coupons: Whether it issues coupons.
        content: Number of its content.
        experiment: Index of its experiment, or -1.
    """

    code: pa.Array
    name: list[str]
    festival: Bools
    start_day: Ints
    end_day: Ints
    gives_coupons: Bools
    content: pa.Array
    experiment: Ints

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.start_day)

    def running(self, day: Ints) -> Ints:
        """The campaign that started last before each day, or -1."""
        plain = np.flatnonzero(self.experiment < 0)
        found = np.searchsorted(self.start_day[plain], day, side="right") - 1
        return np.where(found >= 0, plain[found], -1)


@dataclass(frozen=True)
class Catalogue:
    """Everything the retailer has."""

    stores: Stores
    staff: Staff
    products: Products
    campaigns: Campaigns

    @property
    def experiments(self) -> Ints:
        """Campaign index of each experiment."""
        return np.flatnonzero(self.campaigns.experiment >= 0)


def make_catalogue(streams: Streams, members: int, season: Season) -> Catalogue:
    """The retailer of ``members`` members over the days of ``season``."""
    stores = _stores(members)
    return Catalogue(
        stores=stores,
        staff=_staff(streams.of("staff"), stores, members, season.days),
        products=_products(streams.of("products")),
        campaigns=_campaigns(season),
    )


def _stores(members: int) -> Stores:
    count = int(np.clip(members // MEMBERS_PER_STORE, 4, 60))
    place = np.arange(count, dtype=np.int64) % len(words.PLACES)
    return Stores(numbered("S", np.arange(1, count + 1), 3), place)


def _staff(rng: np.random.Generator, stores: Stores, members: int, days: int) -> Staff:
    per_store = int(np.clip(members // (stores.count * MEMBERS_PER_STAFF), 3, 12))
    count = stores.count * per_store
    manager = np.arange(count) % per_store == 0
    leaves = ~manager & (rng.random(count) < 0.15)
    hired = np.where(manager, 0, (rng.random(count) ** 3 * days * 0.6).astype(np.int64))
    left = np.where(leaves, hired + 90 + rng.integers(0, days, count), 10 * days)
    return Staff(
        userid=tokens(rng, count, 6, "sy_"),
        store=np.repeat(np.arange(stores.count), per_store),
        hired_day=hired,
        left_day=left,
        compliance=rng.beta(6, 2.5, count),
        per_store=per_store,
    )


def _products(rng: np.random.Generator) -> Products:
    kinds = len(words.CATEGORIES[0].kinds)
    per_category = kinds * PRODUCTS_PER_KIND
    count = len(words.CATEGORIES) * per_category
    category = np.repeat(np.arange(len(words.CATEGORIES)), per_category)
    within = np.arange(count) % per_category
    kind, style = within % kinds, within // kinds
    brand = rng.integers(0, len(words.BRANDS), count)
    typical = np.array([found.price_yuan for found in words.CATEGORIES])[category]
    # Prices end in .90, as shop prices do; one fen amounts would never show rounding mistakes.
    price = (typical * rng.lognormal(0, 0.35, count)).astype(np.int64) * 100 + 90
    names = [
        f"{words.BRANDS[b]} {words.PRODUCT_STYLES[s]}{words.CATEGORIES[c].kinds[k]}"
        for b, s, c, k in zip(brand, style, category, kind, strict=True)
    ]
    return Products(
        code=numbered("P", np.arange(1, count + 1), 5),
        name=names,
        category=category,
        kind=kind,
        brand=brand,
        price_fen=price,
        cost_fen=(price * rng.uniform(0.35, 0.6, count)).astype(np.int64),
        per_category=per_category,
    )


def _campaigns(season: Season) -> Campaigns:
    starts = np.arange(10, season.days - 5, 30)
    festival = np.array([season.factor[day : day + 20].max() > 1.75 for day in starts], dtype=bool)
    trials = _experiment_starts(season.days)
    count = len(starts) + len(trials)
    start = np.concatenate([starts, trials])
    is_trial = np.arange(count) >= len(starts)
    names = [_campaign_name(n, bool(festival[n])) for n in range(len(starts))]
    return Campaigns(
        code=numbered("C", np.arange(1, count + 1), 4),
        name=names + [words.EXPERIMENTS[n % len(words.EXPERIMENTS)][0] for n in range(len(trials))],
        festival=np.concatenate([festival, np.zeros(len(trials), dtype=bool)]),
        start_day=start,
        end_day=np.minimum(start + np.where(is_trial, EXPERIMENT_DAYS - 1, 14), season.days - 1),
        gives_coupons=(np.arange(count) % 2 == 0) & ~is_trial,
        content=numbered("T", np.arange(1, count + 1), 4),
        experiment=np.where(is_trial, np.arange(count) - len(starts), -1),
    )


def _experiment_starts(days: int) -> Ints:
    """Evenly spread, none so late that its window is cut off."""
    wanted = len(words.EXPERIMENTS)
    return np.linspace(days * 0.25, max(days * 0.25, days - EXPERIMENT_DAYS - 15), wanted).astype(
        np.int64
    )


def _campaign_name(number: int, festival: bool) -> str:
    names = words.CAMPAIGN_NAMES["festival" if festival else "monthly"]
    return f"{names[number % len(names)]}·第{number + 1}期"
