"""What a refresh costs that finds nothing changed, beside one from nothing.

``python -m benchmarks noop_refresh`` runs the full size; ``python -m benchmarks.noop_refresh 1000``
a small trial, in which what does not grow with the data weighs most.

Both are what ``python -m orchestration refresh`` does: land, every layer behind its gates, training
that is due, scores, the publication. The second follows the first on the same home, on the same
as-of day, in a process of its own. Starting Python and importing are printed apart.
"""

from __future__ import annotations

import sys

from benchmarks._refresh import (
    DBT,
    DBT_MODELS,
    DBT_TESTS,
    GX_GATES,
    IDENTITY,
    LAND,
    MODELS,
    PUBLISHING,
    REST,
)
from benchmarks._report import at_most, report
from benchmarks._runs import MEMBERS, Refresh, bench_home, refreshed, refreshed_again

_PIECES = (LAND, DBT_MODELS, DBT_TESTS, DBT, GX_GATES, IDENTITY, MODELS, PUBLISHING, REST)


def main(members: int = MEMBERS) -> bool:
    """Refresh twice, and compare their CPU seconds.

    Returns:
        Whether the second took at most a tenth of the first.
    """
    with bench_home() as home:
        full = refreshed(home, "whole", members)
        again = refreshed_again(home, members)
    without_models = [one.all_but_imports.cpu - _cpu(one, MODELS) for one in (again, full)]
    with_start_up = [one.all_but_imports.cpu + one.start_up_cpu for one in (again, full)]
    return report(
        name="noop_refresh",
        value=again.all_but_imports.cpu / full.all_but_imports.cpu,
        unit="ratio of CPU seconds",
        goal=at_most(0.10),
        compared_with="the same refresh from nothing, in the same run, imports apart",
        members=members,
        # Training, which the second never does, is much of the first; and a person waits for imports.
        without_models_ratio=without_models[0] / without_models[1],
        with_start_up_ratio=with_start_up[0] / with_start_up[1],
        full_cpu_seconds=full.all_but_imports.cpu,
        noop_cpu_seconds=again.all_but_imports.cpu,
        full_wall_seconds=full.all_but_imports.wall,
        noop_wall_seconds=again.all_but_imports.wall,
        full_start_up_cpu_seconds=full.start_up_cpu,
        noop_start_up_cpu_seconds=again.start_up_cpu,
        noop_peak_bytes=again.peak_bytes,
        **{f"noop_{piece}_cpu_seconds": _cpu(again, piece) for piece in _PIECES},
    )


def _cpu(refresh: Refresh, piece: str) -> float:
    """CPU seconds of a piece of work; none where it was not done."""
    try:
        return refresh.cpu(piece)
    except KeyError:
        return 0.0


if __name__ == "__main__":
    sys.exit(0 if main(*map(int, sys.argv[1:2])) else 1)
