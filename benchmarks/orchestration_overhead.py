"""What a whole refresh of the demo costs beside the work itself.

``python -m benchmarks orchestration_overhead`` runs what ``python -m orchestration refresh`` runs,
in a process of its own, from nothing: land, every layer, training, scores, the publication.

Work is what landing, models and tests in SQL, the gates' judging, identity, training, scoring and
publishing take. The rest is overhead: starting Python, importing, Dagster's definitions and events,
the ledger, dbt's reading and compiling.
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
from benchmarks._runs import DEMO_MEMBERS, bench_home, refreshed


def main(members: int = DEMO_MEMBERS) -> bool:
    """Refresh everything, and say what it took beside the work.

    Returns:
        Whether that was at most 20 seconds.
    """
    with bench_home() as home:
        refresh = refreshed(home, "whole", members)
    work = {
        "landing": refresh.clock(LAND),
        "gx_gates": refresh.clock(GX_GATES),
        "sql_models": refresh.clock(DBT_MODELS),
        "sql_tests": refresh.clock(DBT_TESTS),
        "identity": refresh.clock(IDENTITY),
        "training_and_scores": refresh.clock(MODELS),
        "publishing": refresh.clock(PUBLISHING),
    }
    return report(
        name="orchestration_overhead",
        value=refresh.wall - sum(work.values()),
        unit="s",
        goal=at_most(20),
        compared_with="the work itself: landing, SQL, gates, identity, training, publishing",
        members=members,
        overhead_cpu_seconds=refresh.start_up_cpu + refresh.cpu(DBT, REST),
        wall_seconds=refresh.wall,
        start_up_wall_seconds=refresh.start_up_wall,
        start_up_cpu_seconds=refresh.start_up_cpu,
        dbt_itself_wall_seconds=refresh.clock(DBT),
        dbt_itself_cpu_seconds=refresh.cpu(DBT),
        rest_wall_seconds=refresh.clock(REST),
        rest_cpu_seconds=refresh.cpu(REST),
        peak_bytes=refresh.peak_bytes,
        **{f"{piece}_wall_seconds": seconds for piece, seconds in work.items()},
    )


if __name__ == "__main__":
    sys.exit(0 if main(*map(int, sys.argv[1:2])) else 1)
