"""From arguments to a folder of source files.

What belongs here: the order of the steps, and checking the arguments. What does not: any of the
steps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from siyu.simulator.back_office import write_back_office
from siyu.simulator.crm import write_crm
from siyu.simulator.mall import write_mall
from siyu.simulator.mini_program import write_mini_program
from siyu.simulator.parameters import LEAST_DAYS, LEAST_MEMBERS, SIZES, Size
from siyu.simulator.pos import write_pos
from siyu.simulator.truth import write_truth
from siyu.simulator.wecom import write_wecom
from siyu.simulator.world import World, make_world
from siyu.simulator.writing import MARKER, SimulationError, Writer, whole_folder

_STEPS: tuple[tuple[str, Callable[[World, Writer], None]], ...] = (
    ("stores, goods and campaigns", write_back_office),
    ("members, points, coupons, consents and feedback", write_crm),
    ("till orders", write_pos),
    ("mall trades", write_mall),
    ("WeCom contacts, groups and messages", write_wecom),
    ("mini-program events", write_mini_program),
    ("truth", write_truth),
)


@dataclass(frozen=True)
class SimulationSummary:
    """What was made.

    Attributes:
        folder: Where it lies.
        seed: Seed of every draw.
        first_day, through: First and last local day.
        members, persons: Members, and people in all.
        orders, order_lines, sessions: How many of each really happened.
        rows: Documents or rows written, by feed; ``truth`` among them.
    """

    folder: Path
    seed: int
    first_day: date
    through: date
    members: int
    persons: int
    orders: int
    order_lines: int
    sessions: int
    rows: Mapping[str, int]


def simulate(
    folder: Path,
    size: Size,
    seed: int = 7,
    through: date = date(2026, 6, 30),
    days: int = 730,
    on_progress: Callable[[str], None] | None = None,
    dirt: float = 1.0,
) -> SimulationSummary:
    """Make a retailer and write its source systems' files to ``folder``.

    The same arguments give the same bytes. The folder appears whole or not at all, and takes the
    place of an earlier simulation.

    Args:
        folder: Where to write; absent, empty, or an earlier simulation.
        size: ``tiny``, ``demo``, or a number of members.
        seed: Seed of every draw.
        through: Last local day.
        days: How many local days end with it.
        on_progress: Told what is being written.
        dirt: Multiplies every rate of dirt; 0 is clean.

    Raises:
        SimulationError: an argument cannot be used, or the folder holds something else.
    """
    members = _members(size)
    if days < LEAST_DAYS:
        raise SimulationError(f"days is {days}: use {LEAST_DAYS} or more")
    if dirt < 0:
        raise SimulationError(f"dirt is {dirt}: use 0 for clean data, 1 for the usual dirt")
    tell = on_progress or (lambda _: None)
    first_day = through - timedelta(days=days - 1)
    tell(f"{members:,} members from {first_day} to {through}")
    try:
        world = make_world(members, seed, first_day, days, dirt)
    except ValueError as error:
        raise SimulationError(str(error)) from error
    with whole_folder(folder) as partial, closing(Writer(partial)) as writer:
        for what, write in _STEPS:
            tell(f"writing {what}")
            write(world, writer)
        arguments = {
            "members": members, "seed": seed, "through": through.isoformat(), "days": days,
            "dirt": dirt,
        }  # fmt: skip
        (partial / MARKER).write_text(json.dumps(arguments, indent=2) + "\n", "utf-8")
    return SimulationSummary(
        folder=folder,
        seed=seed,
        first_day=first_day,
        through=through,
        members=members,
        persons=world.people.count,
        orders=world.purchases.orders.count,
        order_lines=world.purchases.lines.count,
        sessions=world.sessions.count,
        rows=dict(sorted(writer.rows.items())),
    )


def _members(size: Size) -> int:
    if isinstance(size, str):
        if size not in SIZES:
            raise SimulationError(f"size is {size!r}: use {', '.join(SIZES)} or a number")
        return SIZES[size]
    if size < LEAST_MEMBERS:
        raise SimulationError(f"size is {size}: use {LEAST_MEMBERS} members or more")
    return size
