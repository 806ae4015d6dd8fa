"""What every benchmark shares: measuring a piece of work, and the line that reports it.

What belongs here: clocks, memory, goals and the form of the line. What does not: any work that is
measured.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_PROC = Path("/proc/self")


@dataclass(frozen=True)
class Goal:
    """A bound that a figure must keep.

    Attributes:
        comparison: Whether the figure must stay below or above the bound.
        bound: The bound, in the figure's unit.
        provided: What must hold besides, such as a bound on memory; the details show it.
    """

    comparison: Literal["<=", ">="]
    bound: float
    provided: bool = True

    def reached(self, value: float) -> bool:
        """Whether a figure keeps the bound, and what must hold besides does."""
        kept = value <= self.bound if self.comparison == "<=" else value >= self.bound
        return kept and self.provided

    def __str__(self) -> str:
        return f"{self.comparison} {self.bound:g}"


def at_most(bound: float, provided: bool = True) -> Goal:
    """The figure must not exceed the bound, and something else must hold."""
    return Goal("<=", bound, provided)


def at_least(bound: float, provided: bool = True) -> Goal:
    """The figure must not fall short of the bound, and something else must hold."""
    return Goal(">=", bound, provided)


@dataclass
class Cost:
    """What a piece of work took; zero until it has ended.

    Attributes:
        wall_seconds: Time on the clock. Varies with the machine's load.
        cpu_seconds: User and system time of this process and of the children that ended meanwhile;
            the figure to compare, as load hardly moves it.
        peak_bytes: Most memory this process held resident meanwhile. Where earlier peaks cannot
            be forgotten (they can on Linux), the most since the process began.
    """

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure what runs inside the block.

    Yields:
        The cost, filled in when the block ends.
    """
    cost = Cost()
    _forget_peak()
    wall, cpu = time.perf_counter(), _cpu_seconds()
    try:
        yield cost
    finally:
        cost.wall_seconds = time.perf_counter() - wall
        cost.cpu_seconds = _cpu_seconds() - cpu
        cost.peak_bytes = _peak_bytes()


def report(
    *,
    name: str,
    value: float,
    unit: str,
    goal: Goal,
    compared_with: str,
    **details: float | str,
) -> bool:
    """Print a benchmark's line of JSON.

    Args:
        name: The benchmark.
        value: Its figure.
        unit: Unit of the figure, such as ``s`` or ``ratio``.
        goal: What the figure must keep.
        compared_with: What the figure was measured against.
        **details: Further figures for a reader, their units in their names (``wall_seconds=…``).

    Returns:
        Whether the goal was reached.

    Raises:
        ValueError: a figure is not a finite number.
    """
    figures = {"value": value, **details}
    bad = [key for key, figure in figures.items() if _is_broken(figure)]
    if bad:
        raise ValueError(f"{name}: not a finite number: {', '.join(bad)}")
    ok = goal.reached(value)
    line = {
        "name": name,
        "value": _short(value),
        "unit": unit,
        "goal": str(goal),
        "ok": ok,
        "compared_with": compared_with,
        **{key: _short(figure) for key, figure in details.items()},
    }
    print(json.dumps(line, ensure_ascii=False), flush=True)
    return ok


def _is_broken(figure: float | str) -> bool:
    return not isinstance(figure, str) and not math.isfinite(figure)


def _short(figure: float | str) -> float | str:
    """Four significant digits: what a measurement is worth."""
    return float(f"{figure:.4g}") if isinstance(figure, float) else figure


def _cpu_seconds() -> float:
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _forget_peak() -> None:
    """Have the kernel count the peak from now on (proc(5): writing 5 to clear_refs)."""
    # Some containers forbid it; the peak is then the most since the process began.
    with suppress(OSError):
        (_PROC / "clear_refs").write_text("5")


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if sys.platform != "linux":
        return peak
    # ru_maxrss keeps earlier peaks; VmHWM is the one that was reset.
    status = (_PROC / "status").read_text()
    kibibytes = next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]
    return int(kibibytes) * 1024
