"""How much more a refresh costs than a hand-written script that makes the same tables.

``python -m benchmarks refresh_ratio`` runs the full size; ``python -m benchmarks.refresh_ratio
1000`` a small trial, in which what does not grow with the data weighs most.

In the refresh: everything that the jobs ``land`` and ``refresh`` do up to the features of the
as-of day, with validation, quarantine, vault, Delta, gates, dbt and Dagster. Out: starting Python
and importing, which are printed apart; training, scores and the publication, which are not run.
The script is in ``_reference``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

from benchmarks._refresh import DBT, DBT_MODELS, DBT_TESTS, GX_GATES, IDENTITY, LAND, REST
from benchmarks._report import at_most, report
from benchmarks._runs import MEMBERS, bench_home, referenced, refreshed
from siyu.paths import Paths

LAYERS = ("unified", "marts", "features", "ops")
# The script checks nothing, so the rows that landing rejects are in its tables.
MOST_APART = 0.02
# Lists what is wrong with rows, in the script also with those that landing rejects.
FAULTS = "unified.order_reconciliation"


def main(members: int = MEMBERS) -> bool:
    """Refresh, run the script, and compare their CPU seconds.

    Returns:
        Whether the refresh took at most one and a half times the script's.

    Raises:
        RuntimeError: the two did not make the same tables, so that they cannot be compared.
    """
    with bench_home() as home:
        refresh = refreshed(home, "tables", members)
        script = referenced(home, members)
        apart = _most_apart(Paths(refresh.home, "demo").warehouse, script.file)
    if apart > MOST_APART:
        raise RuntimeError(f"a table has {apart:.1%} more or fewer rows in the reference")
    gates = refresh.cpu(GX_GATES, DBT_TESTS)
    whole = refresh.all_but_imports
    return report(
        name="refresh_ratio",
        value=whole.cpu / script.cpu,
        unit="ratio of CPU seconds",
        goal=at_most(1.5),
        compared_with="a hand-written DuckDB script for the same tables, in the same run",
        members=members,
        refresh_cpu_seconds=whole.cpu,
        script_cpu_seconds=script.cpu,
        refresh_wall_seconds=whole.wall,
        script_wall_seconds=script.wall,
        refresh_start_up_cpu_seconds=refresh.start_up_cpu,
        refresh_start_up_wall_seconds=refresh.start_up_wall,
        script_start_up_cpu_seconds=script.start_up_cpu,
        refresh_peak_bytes=refresh.peak_bytes,
        script_peak_bytes=script.peak_bytes,
        without_gates_ratio=(whole.cpu - gates) / script.cpu,
        land_cpu_seconds=refresh.cpu(LAND),
        gates_cpu_seconds=gates,
        staging_cpu_seconds=refresh.cpu(f"{DBT_MODELS} staging"),
        identity_cpu_seconds=refresh.cpu(IDENTITY),
        **{f"{layer}_cpu_seconds": refresh.cpu(f"{DBT_MODELS} {layer}") for layer in LAYERS},
        dbt_itself_cpu_seconds=refresh.cpu(DBT),
        rest_cpu_seconds=refresh.cpu(REST),
        **{f"script_{step}_cpu_seconds": seconds for step, seconds in script.steps.items()},
        most_rows_apart_share=apart,
    )


def _most_apart(made: Path, by_script: Path) -> float:
    """The largest relative difference in rows between tables of the same name.

    Raises:
        RuntimeError: a table is missing from the script's.
    """
    with duckdb.connect() as connection:
        for name, file in (("made", made), ("script", by_script)):
            connection.execute(f"ATTACH '{file}' AS {name} (READ_ONLY)")
        tables = connection.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() "
            "WHERE database_name = 'made' AND schema_name IN ('unified', 'marts', 'features')"
        ).fetchall()
        if not tables:
            raise RuntimeError(f"{made}: no table was made")
        return max(_apart(connection, table) for (table,) in tables if table != FAULTS)


def _apart(connection: duckdb.DuckDBPyConnection, table: str) -> float:
    try:
        row = connection.execute(
            f"SELECT (SELECT count(*) FROM made.{table}), (SELECT count(*) FROM script.{table})"
        ).fetchone()
    except duckdb.CatalogException as error:
        raise RuntimeError(f"the script does not make {table}") from error
    made, by_script = row or (0, 0)
    return float(abs(made - by_script) / max(made, 1))


if __name__ == "__main__":
    sys.exit(0 if main(*map(int, sys.argv[1:2])) else 1)
