"""Which part of the pipeline's time its gates take.

``python -m benchmarks gate_share`` runs the full size; ``python -m benchmarks.gate_share 1000`` a
small trial, in which the gates weigh most: most of a suite's time does not grow with the data.

Gates are the Great Expectations suites and dbt's tests; the pipeline is everything from the source
files to the features of the as-of day, gates included, imports apart. Both in CPU seconds.
"""

from __future__ import annotations

import sys

from benchmarks._refresh import DBT_TESTS, GX_GATES
from benchmarks._report import at_most, report
from benchmarks._runs import MEMBERS, bench_home, refreshed


def main(members: int = MEMBERS) -> bool:
    """Refresh, and say which part the gates took.

    Returns:
        Whether it was at most a tenth, dbt's tests included.
    """
    with bench_home() as home:
        refresh = refreshed(home, "tables", members)
    suites, tests = refresh.cpu(GX_GATES), refresh.cpu(DBT_TESTS)
    pipeline = refresh.all_but_imports
    stages = [name for name in refresh.spent if name.startswith(f"{GX_GATES} ")]
    return report(
        name="gate_share",
        value=(suites + tests) / pipeline.cpu,
        unit="share of CPU seconds",
        goal=at_most(0.10),
        compared_with="the pipeline from source files to features, gates included, imports apart",
        members=members,
        gx_share=suites / pipeline.cpu,
        dbt_tests_share=tests / pipeline.cpu,
        wall_share=refresh.clock(GX_GATES, DBT_TESTS) / pipeline.wall,
        gx_cpu_seconds=suites,
        dbt_tests_cpu_seconds=tests,
        dbt_tests=refresh.spent[DBT_TESTS].calls,
        pipeline_cpu_seconds=pipeline.cpu,
        pipeline_wall_seconds=pipeline.wall,
        peak_bytes=refresh.peak_bytes,
        **{f"{stage.replace(' ', '_')}_cpu_seconds": refresh.cpu(stage) for stage in stages},
    )


if __name__ == "__main__":
    sys.exit(0 if main(*map(int, sys.argv[1:2])) else 1)
