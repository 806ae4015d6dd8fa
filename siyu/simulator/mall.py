"""The online mall, which also runs the mini-program's shop: trades and refunds as JSON lines.

The shape is Youzan's: naive Beijing times, yuan as text, encrypted phones, statuses of its own.
Trades are polled by update time, so a trade comes once per version, in the file of that month.

What belongs here: the mall's documents. What does not: what was bought.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from siyu.simulator.draws import Bools, Ints, numbered, pick, positions, tokens
from siyu.simulator.parameters import DAY
from siyu.simulator.pos import coupon_numbers
from siyu.simulator.purchases import MINI, STORE
from siyu.simulator.vocabulary import REFUND_REASONS
from siyu.simulator.world import World, label, struct, yuan
from siyu.simulator.writing import Writer

STATUSES = (
    "WAIT_BUYER_PAY", "WAIT_SELLER_SEND_GOODS", "WAIT_BUYER_CONFIRM_GOODS", "TRADE_SUCCESS",
    "TRADE_CLOSED",
)  # fmt: skip
_UNPAID, _PAID, _SHIPPED, _SUCCESS, _CLOSED = range(5)
_FAULTS = ("", "bad amount", "unknown status", "missing id", "bad date")
_FEED = "mall.trades"


@dataclass(frozen=True)
class _Versions:
    """One row per version of a trade that is delivered.

    Attributes:
        order: Row of the order.
        status: Index into ``STATUSES``.
        updated_at: Local second of the version.
        fault: Index into ``_FAULTS``.
    """

    order: Ints
    status: Ints
    updated_at: Ints
    fault: Ints

    def take(self, rows: Ints) -> _Versions:
        return _Versions(
            self.order[rows], self.status[rows], self.updated_at[rows], self.fault[rows]
        )


@dataclass(frozen=True)
class _Progress:
    """When each order of the mall is paid, shipped and done: local seconds by order."""

    paid_at: Ints
    shipped_at: Ints
    done_at: Ints


def write_mall(world: World, writer: Writer) -> None:
    """Write everything the mall delivers."""
    progress = _progress(world)
    versions = _versions(world, progress)
    sealed = _sealed_phones(world)
    month = world.clock.month(versions.updated_at)
    order = np.lexsort((versions.updated_at, month))
    names = world.clock.month_names()
    cuts = np.searchsorted(month[order], np.arange(len(names) + 1))
    for number, name in enumerate(names):
        part = versions.take(order[cuts[number] : cuts[number + 1]])
        if len(part.order):
            writer.jsonl(f"mall/trades_{name}", _trades(world, progress, part, sealed))
    _refunds(world, writer)


def trade_numbers(order: Ints) -> pa.Array:
    """Number that the mall gives each trade."""
    return numbered("E2024", order + 1, 15)


def _progress(world: World) -> _Progress:
    rng, orders = world.streams.of("mall progress"), world.purchases.orders
    paid_at = orders.ordered_at + rng.integers(15, 900, orders.count)
    shipped_at = paid_at + rng.integers(DAY // 4, 2 * DAY, orders.count)
    return _Progress(paid_at, shipped_at, shipped_at + rng.integers(2 * DAY, 8 * DAY, orders.count))


def _versions(world: World, progress: _Progress) -> _Versions:
    """The first version of each trade, and the last one that there is by the end."""
    orders, end = world.purchases.orders, world.clock.end
    order = np.flatnonzero((orders.channel != STORE) & (progress.paid_at < end))
    unpaid = orders.cancelled[order]
    shipped, done = progress.shipped_at[order], progress.done_at[order]
    first = _Versions(
        order,
        np.where(unpaid, _UNPAID, _PAID),
        np.where(unpaid, orders.ordered_at[order], progress.paid_at[order]),
        np.zeros(len(order), dtype=np.int64),
    )
    closed_at = orders.ordered_at[order] + 3600
    last_at = np.where(unpaid, closed_at, np.where(done < end, done, shipped))
    last = _Versions(
        order,
        np.where(unpaid, _CLOSED, np.where(done < end, _SUCCESS, _SHIPPED)),
        last_at,
        first.fault,
    ).take(np.flatnonzero(last_at < end))
    return _spoilt(world, _joined([first, last]))


def _spoilt(world: World, versions: _Versions) -> _Versions:
    count = len(versions.order)
    parts = [versions]
    parts.append(versions.take(np.flatnonzero(world.dirt.mark(_FEED, "duplicate", count))))
    for fault, name in enumerate(_FAULTS[1:], start=1):
        rows = np.flatnonzero(world.dirt.mark(f"{_FEED} {name}", "invalid", count))
        copied = versions.take(rows)
        parts.append(
            _Versions(copied.order, copied.status, copied.updated_at, np.full(len(rows), fault))
        )
    return _joined(parts)


def _joined(parts: list[_Versions]) -> _Versions:
    return _Versions(
        np.concatenate([part.order for part in parts]),
        np.concatenate([part.status for part in parts]),
        np.concatenate([part.updated_at for part in parts]),
        np.concatenate([part.fault for part in parts]),
    )


def _sealed_phones(world: World) -> pa.Array:
    """Phones as the mall shows them: encrypted, and so of no use for joining."""
    sealed = tokens(world.streams.of("mall phones"), world.people.count, 24, "$")
    return pc.binary_join_element_wise(sealed, pa.scalar("$1$"), "")


def _trades(world: World, progress: _Progress, versions: _Versions, sealed: pa.Array) -> pa.Table:
    order = versions.order
    faulty = [versions.fault == number for number in range(len(_FAULTS))]
    # A spoilt copy has a number of its own, so that it never hides the true trade.
    tid = trade_numbers(
        order + np.where(versions.fault > 0, 900_000_000 + versions.fault * 10**9, 0)
    )
    tid = pc.if_else(pa.array(faulty[3]), None, tid)
    info = {
        "order_info": _order_info(world, progress, versions, tid),
        "source_info": _source_info(world, order),
        "pay_info": _pay_info(world, versions, faulty[1]),
        "buyer_info": _buyer_info(world, order, sealed),
        "orders": _items(world, order, versions.fault > 0),
    }
    return pa.table({"full_order_info": struct(info)})


def _order_info(
    world: World, progress: _Progress, versions: _Versions, tid: pa.Array
) -> pa.StructArray:
    orders, clock, order = world.purchases.orders, world.clock, versions.order
    status, at = versions.status, versions.updated_at
    unpaid = (status == _UNPAID) | (status == _CLOSED)
    created = clock.text(orders.ordered_at[order])
    return struct(
        {
            "tid": tid,
            "status": pc.if_else(
                pa.array(versions.fault == 2), "TRADE_LOST", label(STATUSES, status)
            ),
            "type": label(("FIXED",), np.zeros(len(order), dtype=np.int64)),
            "created": pc.if_else(pa.array(versions.fault == 4), "2025-02-30 12:00:00", created),
            "pay_time": clock.text(progress.paid_at[order], unpaid),
            "consign_time": clock.text(progress.shipped_at[order], unpaid | (status < _SHIPPED)),
            "success_time": clock.text(progress.done_at[order], status != _SUCCESS),
            "update_time": clock.text(at),
            "close_type": np.where(status == _CLOSED, 1, 0),
            "shop_id": label(("W001", "X001"), (orders.channel[order] == MINI).astype(np.int64)),
            "coupon_no": coupon_numbers(orders.coupon[order]),
            "activity_code": pick(
                world.catalogue.campaigns.code, orders.campaign[order], orders.campaign[order] < 0
            ),
            "sharer_openid": pick(
                world.identities.openid, orders.sharer[order], orders.sharer[order] < 0
            ),
        }
    )


def _source_info(world: World, order: Ints) -> pa.StructArray:
    is_mini = world.purchases.orders.channel[order] == MINI
    source = {
        "platform": label(("browser", "wx"), is_mini.astype(np.int64)),
        "wx_entrance": label(("direct_buy", "merchant_xcx"), is_mini.astype(np.int64)),
    }
    return struct({"source": struct(source)})


def _pay_info(world: World, versions: _Versions, bad: Bools) -> pa.StructArray:
    purchases, order = world.purchases, versions.order
    gross = purchases.order_sum(purchases.lines.gross_fen)[order]
    net = purchases.order_sum(purchases.lines.net_fen)[order]
    post = purchases.orders.shipping_fen[order]
    unpaid = (versions.status == _UNPAID) | (versions.status == _CLOSED)
    number = numbered("4200", order + 1, 14)
    pays = ~unpaid & (versions.fault == 0)
    paid = np.flatnonzero(pays)
    offsets = np.concatenate([[0], np.cumsum(pays)]).astype(np.int32)
    return struct(
        {
            "total_fee": pc.if_else(pa.array(bad), "1O8.OO", yuan(gross)),
            "post_fee": yuan(post),
            "payment": yuan(net + post),
            "transaction": pa.ListArray.from_arrays(pa.array(offsets), number.take(pa.array(paid))),
        }
    )


def _buyer_info(world: World, order: Ints, sealed: pa.Array) -> pa.StructArray:
    orders = world.purchases.orders
    person = orders.person[order]
    return struct(
        {
            "yz_open_id": pick(world.identities.buyer_id, person),
            "outer_user_id": pick(world.identities.openid, person, orders.channel[order] != MINI),
            "buyer_phone": pick(sealed, person),
        }
    )


def _items(world: World, order: Ints, empty: Bools) -> pa.ListArray:
    orders, lines, products = (
        world.purchases.orders,
        world.purchases.lines,
        world.catalogue.products,
    )
    # A trade that will be rejected has no items, or they would be left without an order.
    counts = np.where(empty, 0, orders.lines[order])
    row = np.repeat(orders.first_line[order], counts) + positions(counts)
    items = struct(
        {
            "oid": numbered("2", row + 1, 18),
            "item_id": lines.product[row] + 400_000_001,
            "outer_item_id": pick(products.code, lines.product[row]),
            "title": pa.array(products.name).take(pa.array(lines.product[row])),
            "num": lines.quantity[row],
            "price": yuan(lines.price_fen[row]),
            "total_fee": yuan(lines.gross_fen[row]),
            "payment": yuan(lines.net_fen[row]),
        }
    )
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), items)


def _refunds(world: World, writer: Writer) -> None:
    """Each refund when asked for, and again when it is decided."""
    refunds, lines, clock = world.purchases.refunds, world.purchases.lines, world.clock
    orders = world.purchases.orders
    row = np.flatnonzero(orders.channel[lines.order[refunds.line]] != STORE)
    decided = row[refunds.finished_at[row] < clock.end]
    both = np.concatenate([row, decided])
    is_final = np.arange(len(both)) >= len(row)
    line = refunds.line[both]
    rejected = refunds.rejected[both]
    done = is_final & ~rejected
    at = np.where(is_final, refunds.finished_at[both], refunds.requested_at[both])
    table = pa.table(
        {
            "refund_id": numbered("R2024", both + 1, 12),
            "tid": trade_numbers(lines.order[line]),
            "oid": numbered("2", line + 1, 18),
            "refund_fee": yuan(refunds.amount_fen[both]),
            "status": label(
                ("WAIT_SELLER_AGREE", "SUCCESS", "SELLER_REFUSE_BUYER"),
                np.where(is_final, np.where(rejected, 2, 1), 0),
            ),
            "reason": label(REFUND_REASONS, refunds.reason[both]),
            "created": clock.text(refunds.requested_at[both]),
            "modified": clock.text(at),
            "success_time": clock.text(at, ~done),
        }
    )
    table = table.append_column("_at", pa.array(at))
    table = world.dirt.repeat("mall.refunds", table)
    arrived = table["_at"].to_numpy()
    writer.jsonl_by_month(
        "mall/refunds", table.drop_columns("_at"), arrived, clock.month(arrived),
        clock.month_names(),
    )  # fmt: skip
