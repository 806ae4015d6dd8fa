"""How fast the simulator makes a large retailer, and in how much memory.

``python -m benchmarks simulator_rate`` runs the full size; ``python -m benchmarks.simulator_rate
5000`` a small trial, whose goal shrinks with the size.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks._report import at_most, measured, report
from siyu.simulator import simulate

MEMBERS = 100_000
SECONDS = 120.0
MOST_BYTES = 2_000_000_000


def main(members: int = MEMBERS) -> bool:
    """Simulate ``members`` members and say how long it took.

    Returns:
        Whether it took at most 120 seconds for 100,000 members, or that share of it, and never held
        2 GB.
    """
    with tempfile.TemporaryDirectory() as folder:
        with measured() as cost:
            made = simulate(Path(folder) / "sources", members)
        written = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    return report(
        name="simulator_rate",
        value=cost.wall_seconds,
        unit="seconds for 100k members, 1M lines, 5M events" if members == MEMBERS else "s",
        goal=at_most(SECONDS * members / MEMBERS, provided=cost.peak_bytes < MOST_BYTES),
        compared_with="the time that a person waits for a large trial, on two cores",
        wall_seconds=cost.wall_seconds,
        cpu_seconds=cost.cpu_seconds,
        peak_bytes=cost.peak_bytes,
        most_peak_bytes=MOST_BYTES,
        members=made.members,
        order_lines=made.order_lines,
        events=made.rows["mini_program/events"],
        written_bytes=written,
    )


if __name__ == "__main__":
    sys.exit(0 if main(*map(int, sys.argv[1:2])) else 1)
