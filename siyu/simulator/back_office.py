"""Head office's spreadsheets: goods, places, campaigns, money, experiments and stock, as CSV.

What belongs here: the columns of those files. What does not: what happened.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from siyu.simulator import vocabulary as words
from siyu.simulator.catalogue import ONLINE_SHOPS
from siyu.simulator.draws import numbered, pick
from siyu.simulator.marketing import TREATMENT
from siyu.simulator.parameters import DAY, PROCESS
from siyu.simulator.world import World, label, yuan
from siyu.simulator.writing import Writer

_STOCKED_PER_STORE = 40


def write_back_office(world: World, writer: Writer) -> None:
    """Write all of head office's files."""
    _products(world, writer)
    _stores(world, writer)
    _campaigns(world, writer)
    _content(world, writer)
    _channel_spend(world, writer)
    _experiments(world, writer)
    _inventory(world, writer)
    _exchange_rates(world, writer)


def _products(world: World, writer: Writer) -> None:
    products = world.catalogue.products
    categories = words.CATEGORIES
    rng = world.streams.of("product file")
    discontinued = rng.random(products.count) < 0.05
    kinds = [categories[c].kinds[k] for c, k in zip(products.category, products.kind, strict=True)]
    table = pa.table(
        {
            "sku": products.code,
            "name": products.name,
            "category": label([found.name for found in categories], products.category),
            "sub_category": kinds,
            "brand": label(words.BRANDS, products.brand),
            "list_price": yuan(products.price_fen),
            "cost_price": yuan(products.cost_fen),
            "unit": label([found.unit for found in categories], products.category),
            "state": label(("在售", "停产"), discontinued.astype(np.int64)),
            "launch_date": world.clock.day(np.zeros(products.count, dtype=np.int64)),
        }
    )
    writer.csv("erp/products", table)


def _stores(world: World, writer: Writer) -> None:
    stores = world.catalogue.stores
    shops = [(code, name, kind, None, None) for code, name, kind in ONLINE_SHOPS]
    rows = [
        (
            code,
            f"{words.PLACES[place][2]}店{number}",
            "store",
            words.PLACES[place][0],
            words.PLACES[place][1],
        )
        for number, (code, place) in enumerate(
            zip(stores.code.to_pylist(), stores.place, strict=True), start=1
        )
    ]
    columns = list(zip(*rows, *shops, strict=True))
    names = ("store_code", "name", "kind", "province", "city")
    table = pa.table(dict(zip(names, map(list, columns), strict=True)))
    opened = world.clock.day(np.zeros(table.num_rows, dtype=np.int64))
    writer.csv("erp/stores", table.append_column("open_date", opened))


def _campaigns(world: World, writer: Writer) -> None:
    campaigns, clock = world.catalogue.campaigns, world.clock
    rng = world.streams.of("campaign file")
    kind = np.where(campaigns.experiment >= 0, 2, np.where(campaigns.festival, 0, 1))
    table = pa.table(
        {
            "activity_code": campaigns.code,
            "name": campaigns.name,
            "kind": label(("大促", "日常", "实验"), kind),
            "channel": label(("wecom",), np.zeros(campaigns.count, dtype=np.int64)),
            "objective": label(("拉升成交", "复购", "验证效果"), kind),
            "budget": yuan(rng.integers(5, 80, campaigns.count) * 100_000),
            "start_date": clock.day(campaigns.start_day),
            "end_date": clock.day(campaigns.end_day),
            "update_time": clock.text(np.maximum(campaigns.start_day - 7, 0) * DAY + 10 * 3600),
        }
    )
    writer.csv("marketing/campaigns", table)


def _content(world: World, writer: Writer) -> None:
    campaigns, clock, rng = world.catalogue.campaigns, world.clock, world.streams.of("content")
    product = rng.integers(0, world.catalogue.products.count, campaigns.count)
    made = clock.text(np.maximum(campaigns.start_day - 5, 0) * DAY + 15 * 3600)
    kind = rng.integers(0, 4, campaigns.count)
    table = pa.table(
        {
            "content_code": campaigns.content,
            "kind": label(("article", "video", "card", "poster"), kind),
            "title": [f"{name}·主推" for name in campaigns.name],
            "sku": pick(world.catalogue.products.code, product),
            "activity_code": campaigns.code,
            "create_time": made,
            "update_time": made,
        }
    )
    writer.csv("marketing/content", table)


def _channel_spend(world: World, writer: Writer) -> None:
    spend, rng = world.marketing.spend_fen, world.streams.of("spend file")
    days, channels = spend.shape
    day, channel = np.divmod(np.arange(days * channels), channels)
    amount = spend.ravel()
    campaign = world.catalogue.campaigns.running(day)
    impressions = (amount / 100 * rng.uniform(15, 25, len(amount))).astype(np.int64)
    table = pa.table(
        {
            "row_no": numbered("B", np.arange(1, len(day) + 1), 8),
            "spend_date": world.clock.day(day),
            "channel": label([name for name, _ in PROCESS.channel_effects], channel),
            "activity_code": pick(world.catalogue.campaigns.code, campaign, campaign < 0),
            "amount": yuan(amount),
            "impressions": impressions,
            "clicks": (impressions * rng.uniform(0.01, 0.03, len(amount))).astype(np.int64),
            "update_time": world.clock.text((day + 1) * DAY + 8 * 3600),
        }
    )
    writer.csv("marketing/channel_spend", table)


def _experiments(world: World, writer: Writer) -> None:
    campaigns, clock = world.catalogue.campaigns, world.clock
    row = world.catalogue.experiments
    experiment = campaigns.experiment[row]
    hypotheses = [text for _, text in words.EXPERIMENTS]
    table = pa.table(
        {
            "experiment_code": numbered("EXP", experiment + 1, 3),
            "name": [campaigns.name[number] for number in row],
            "hypothesis": label(hypotheses, experiment % len(hypotheses)),
            "metric": label(("orders_28d",), np.zeros(len(row), dtype=np.int64)),
            "activity_code": pick(campaigns.code, row),
            "start_date": clock.day(campaigns.start_day[row]),
            "end_date": clock.day(campaigns.end_day[row]),
            "update_time": clock.text(np.maximum(campaigns.start_day[row] - 3, 0) * DAY),
        }
    )
    writer.csv("marketing/experiments", table)
    assigned = world.marketing.assignments
    table = pa.table(
        {
            "experiment_code": numbered("EXP", assigned.experiment + 1, 3),
            "external_userid": pick(world.identities.external_userid, assigned.person),
            "arm": label(("control", "treatment"), (assigned.arm == TREATMENT).astype(np.int64)),
            "assign_time": clock.text(assigned.assigned_at),
        }
    )
    writer.csv("marketing/assignments", table)


def _inventory(world: World, writer: Writer) -> None:
    """The count of the last day of each month, of the goods that each store stocks."""
    clock, rng = world.clock, world.streams.of("inventory")
    days = np.append(clock.month_starts()[1:], clock.days) - 1
    stores, products = world.catalogue.stores.count, world.catalogue.products.count
    stocked = np.array(
        [np.sort(rng.choice(products, _STOCKED_PER_STORE, replace=False)) for _ in range(stores)]
    )
    day = np.repeat(days, stocked.size)
    product = np.tile(stocked.ravel(), len(days))
    store = np.tile(np.repeat(np.arange(stores), _STOCKED_PER_STORE), len(days))
    on_hand = rng.negative_binomial(2, 0.05, len(day)) - (rng.random(len(day)) < 0.005) * 45
    table = pa.table(
        {
            "store_code": pick(world.catalogue.stores.code, store),
            "sku": pick(world.catalogue.products.code, product),
            "count_date": clock.day(day),
            "on_hand": on_hand,
            "update_time": clock.text(day * DAY + 23 * 3600),
        }
    )
    writer.csv("erp/inventory", table)


def _exchange_rates(world: World, writer: Writer) -> None:
    """Rates of the first day of each month."""
    days, rng = world.clock.month_starts(), world.streams.of("exchange rates")
    levels = (("USD", 7.2), ("HKD", 0.92), ("JPY", 0.047))
    parts = []
    for currency, level in levels:
        rates = level * np.exp(np.cumsum(rng.normal(0, 0.004, len(days))))
        parts.append(
            pa.table(
                {
                    "from_currency": [currency] * len(days),
                    "to_currency": ["CNY"] * len(days),
                    "rate_date": world.clock.day(days),
                    "rate": [f"{rate:.6f}" for rate in rates],
                }
            )
        )
    writer.csv("finance/exchange_rates", pa.concat_tables(parts))
