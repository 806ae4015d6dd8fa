"""The tills: orders, lines, payments and refunds as Parquet, amounts in whole fen.

What belongs here: the POS system's columns, codes and habits. What does not: what was bought.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from siyu.simulator.draws import Bools, Ints, numbered, pick, positions
from siyu.simulator.parameters import DAY
from siyu.simulator.purchases import STORE
from siyu.simulator.vocabulary import REFUND_REASONS
from siyu.simulator.world import World, label
from siyu.simulator.writing import Writer

PAY_TYPES = ("WX", "ALI", "CARD", "CASH")
_FEED = "pos.orders"


@dataclass(frozen=True)
class _Till:
    """Orders of the tills that have been uploaded by the end.

    Attributes:
        order: Row of the order.
        anonymous: Whether the member did not show their code.
        uploaded_at: Local second at which head office received it.
    """

    order: Ints
    anonymous: Bools
    uploaded_at: Ints


def write_pos(world: World, writer: Writer) -> None:
    """Write everything the tills deliver."""
    till = _till(world)
    _orders(world, writer, till)
    _lines(world, writer, till)
    _payments(world, writer, till)
    _refunds(world, writer, till)


def order_numbers(order: Ints) -> pa.Array:
    """Number that the tills give each order."""
    return numbered("PS", order + 1, 10)


def member_numbers(world: World, rng: np.random.Generator, person: Ints, day: Ints) -> pa.Array:
    """Membership shown at a sale: the second one now and then, where there is one."""
    identities = world.identities
    held = identities.has_second[person] & (day > world.people.joined_day[person] + 60)
    second = held & (rng.random(len(person)) < 0.4)
    both = pa.concat_arrays([identities.member_id, identities.second_member_id])
    index = person + np.where(second, world.people.count, 0)
    return pick(both, index, ~world.people.is_member[person])


def _till(world: World) -> _Till:
    orders, rng = world.purchases.orders, world.streams.of("pos")
    order = np.flatnonzero(orders.channel == STORE)
    late = world.dirt.mark(_FEED, "late", len(order))
    wait = np.where(
        late, rng.integers(6 * 3600, 5 * DAY, len(order)), rng.integers(60, 3600, len(order))
    )
    uploaded_at = orders.ordered_at[order] + wait
    arrived = uploaded_at < world.clock.end
    anonymous = world.anonymous[order]
    world.dirt.counts[_FEED, "late"] = int(late[arrived].sum())
    world.dirt.counts[_FEED, "anonymous_sale"] = int(anonymous[arrived].sum())
    return _Till(order[arrived], anonymous[arrived], uploaded_at[arrived])


def _orders(world: World, writer: Writer, till: _Till) -> None:
    orders, clock, rng = world.purchases.orders, world.clock, world.streams.of("pos orders")
    order = till.order
    person, at = orders.person[order], orders.ordered_at[order]
    gross = world.purchases.order_sum(world.purchases.lines.gross_fen)[order]
    net = world.purchases.order_sum(world.purchases.lines.net_fen)[order]
    shown = member_numbers(world, rng, person, at // DAY)
    typed = rng.random(len(order)) < 0.3
    known = pa.array(~till.anonymous)
    mobile = pick(world.identities.registered_phone, person, ~typed | till.anonymous)
    corrected = world.dirt.mark(_FEED, "corrected", len(order), ~till.anonymous)
    table = pa.table(
        {
            "order_no": order_numbers(order),
            "store_code": pick(world.catalogue.stores.code, orders.store[order]),
            "clerk": pick(world.catalogue.staff.userid, orders.staff[order]),
            "member_no": pa.compute.if_else(known, shown, None),
            "mobile": mobile,
            "state": label(("C", "V"), orders.cancelled[order].astype(np.int64)),
            "total_fen": gross,
            "discount_fen": gross - net,
            "paid_fen": net,
            "coupon_no": coupon_numbers(orders.coupon[order]),
            "activity_code": pick(
                world.catalogue.campaigns.code, orders.campaign[order], orders.campaign[order] < 0
            ),
            "sale_time": clock.local(at),
            "updated_at": clock.local(at),
            "uploaded_at": clock.local(till.uploaded_at),
        }
    )
    table = _with_corrections(world, table, till.uploaded_at, corrected)
    table = world.dirt.repeat(_FEED, table)
    table = world.dirt.spoil(
        _FEED,
        table,
        {
            "missing id": {"order_no": None},
            "missing amount": {"order_no": "PSBAD1{n:06d}", "total_fen": None},
            "unknown state": {"order_no": "PSBAD2{n:06d}", "state": "X9"},
            "till clock far ahead": {
                "order_no": "PSBAD3{n:06d}",
                "sale_time": datetime(2099, 1, 1),  # noqa: DTZ001 - tills know no zone
            },
        },
    )
    _by_upload(world, writer, "pos/orders", table)


def _with_corrections(
    world: World, table: pa.Table, uploaded_at: Ints, corrected: Bools
) -> pa.Table:
    """First without the member, then again with them and a newer time."""
    rng = world.streams.of("pos corrections")
    rows = np.flatnonzero(corrected)
    later = uploaded_at[rows] + rng.integers(DAY, 5 * DAY, len(rows))
    rows, later = rows[later < world.clock.end], later[later < world.clock.end]
    world.dirt.counts[_FEED, "corrected"] = len(rows)
    again = table.take(pa.array(rows))
    for column in ("updated_at", "uploaded_at"):
        again = again.set_column(
            again.schema.get_field_index(column), column, world.clock.local(later)
        )
    first = np.zeros(table.num_rows, dtype=bool)
    first[rows] = True
    blank = pa.compute.if_else(pa.array(first), None, table["member_no"])
    table = table.set_column(table.schema.get_field_index("member_no"), "member_no", blank)
    return pa.concat_tables([table, again])


def _lines(world: World, writer: Writer, till: _Till) -> None:
    orders, lines = world.purchases.orders, world.purchases.lines
    counts = orders.lines[till.order]
    row = np.repeat(orders.first_line[till.order], counts) + positions(counts)
    at = world.clock.local(orders.ordered_at[lines.order[row]])
    table = pa.table(
        {
            "order_no": order_numbers(lines.order[row]),
            "line_no": lines.line_no[row],
            "sku": pick(world.catalogue.products.code, lines.product[row]),
            "qty": lines.quantity[row],
            "price_fen": lines.price_fen[row],
            "discount_fen": lines.discount_fen[row],
            "amount_fen": lines.net_fen[row],
            "sale_time": at,
            "updated_at": at,
            "uploaded_at": world.clock.local(np.repeat(till.uploaded_at, counts)),
        }
    )
    table = world.dirt.repeat("pos.order_lines", table)
    table = world.dirt.spoil(
        "pos.order_lines",
        table,
        {
            "missing id": {"order_no": None},
            "missing quantity": {"order_no": "PSBAD1{n:06d}", "qty": None},
            "line number 0": {"order_no": "PSBAD2{n:06d}", "line_no": 0},
        },
    )
    _by_upload(world, writer, "pos/order_lines", table)


def _payments(world: World, writer: Writer, till: _Till) -> None:
    """One payment an order, two where part is paid in cash; voided sales are reversed."""
    orders, rng = world.purchases.orders, world.streams.of("pos payments")
    net = world.purchases.order_sum(world.purchases.lines.net_fen)[till.order]
    split = (rng.random(len(till.order)) < 0.04) & (net > 10_000)
    cash = np.where(split, net // 20_000 * 10_000 + 5_000, 0)
    row = np.concatenate([np.arange(len(till.order)), np.flatnonzero(split)])
    is_cash = np.arange(len(row)) >= len(till.order)
    order = till.order[row]
    kind = np.where(is_cash, 3, rng.choice(4, len(row), p=[0.62, 0.24, 0.09, 0.05]))
    paid_at = world.clock.local(orders.ordered_at[order] + 20)
    table = pa.table(
        {
            "pay_no": numbered("PP", order * 2 + is_cash + 1, 11),
            "order_no": order_numbers(order),
            "pay_type": label(PAY_TYPES, kind),
            "amount_fen": np.where(is_cash, cash[row], (net - cash)[row]),
            "state": label(("S", "R"), orders.cancelled[order].astype(np.int64)),
            "pay_time": paid_at,
            "uploaded_at": world.clock.local(till.uploaded_at[row]),
        }
    )
    _by_upload(world, writer, "pos/payments", world.dirt.repeat("pos.payments", table))


def _refunds(world: World, writer: Writer, till: _Till) -> None:
    """Each refund when asked for, and again when it is decided."""
    refunds, lines, clock = world.purchases.refunds, world.purchases.lines, world.clock
    uploaded = np.full(world.purchases.orders.count, -1)
    uploaded[till.order] = till.uploaded_at
    row = np.flatnonzero(uploaded[lines.order[refunds.line]] >= 0)
    decided = row[refunds.finished_at[row] < clock.end]
    both = np.concatenate([row, decided])
    is_final = np.arange(len(both)) >= len(row)
    line = refunds.line[both]
    state = np.where(is_final, np.where(refunds.rejected[both], 2, 1), 0)
    done = is_final & ~refunds.rejected[both]
    at = np.where(is_final, refunds.finished_at[both], refunds.requested_at[both])
    # A refund cannot reach head office before the sale that it undoes, nor be decided unasked.
    at = np.maximum(at, uploaded[lines.order[line]] + 1 + is_final)
    table = pa.table(
        {
            "refund_no": numbered("PR", both + 1, 9),
            "order_no": order_numbers(lines.order[line]),
            "line_no": lines.line_no[line],
            "qty": refunds.quantity[both],
            "refund_fen": refunds.amount_fen[both],
            "reason": label(REFUND_REASONS, refunds.reason[both]),
            "state": label(("0", "1", "9"), state),
            "apply_time": clock.local(refunds.requested_at[both]),
            "finish_time": clock.local(refunds.finished_at[both], ~done),
            "updated_at": clock.local(at),
            "uploaded_at": clock.local(at),
        }
    )
    _by_upload(world, writer, "pos/refunds", world.dirt.repeat("pos.refunds", table))


def _by_upload(world: World, writer: Writer, name: str, table: pa.Table) -> None:
    uploaded = table["uploaded_at"].cast(pa.int64()).to_numpy()
    seconds = uploaded - world.clock.local(np.zeros(1, dtype=np.int64)).cast(pa.int64())[0].as_py()
    months = world.clock.month_names()
    writer.parquet_by_month(name, table, seconds, world.clock.month(seconds), months)


def coupon_numbers(coupon: Ints) -> pa.Array:
    """Number of each coupon; null for none."""
    return pick(numbered("CP", np.arange(int(coupon.max(initial=0)) + 1), 9), coupon, coupon < 0)
