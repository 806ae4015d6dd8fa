"""How much more landing costs than DuckDB's own COPY of the same query.

``python -m benchmarks landing_ratio`` runs the full size; ``python -m benchmarks.landing_ratio
100000`` a small trial, in which what does not grow with the rows weighs most.

A till's order lines come as one CSV file and as one Parquet file. Landing reads, maps, types and
judges them, seeks repeats, and commits them to Delta. COPY runs the same mapping over the same
file, with the contract's types, into one Parquet file with the lake's columns; it checks nothing.
Each has a process of its own, for its peak of memory, and is done three times in turn: a machine
that others share makes the same COPY twice as dear from one minute to the next, so the cheapest of
each is compared. Peaks are the largest.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import yaml

from benchmarks._report import Cost, at_most, measured, report
from siyu.config import REPO, Settings
from siyu.contracts import contract
from siyu.ingestion import land_entity
from siyu.ingestion.mapping import create_macros
from siyu.retailer import load_retailer

ROWS = 5_000_000
FORMATS = ("csv", "parquet")
TRIES = 3
MOST_BYTES = 2_000_000_000
NOW = datetime(2026, 7, 1, 4, tzinfo=UTC)

ENTITY = "order_lines"
MAPPING = """
SELECT
    order_no AS order_id, line_no, 'sale' AS line_type, sku AS product_id, qty AS quantity,
    price AS unit_price, gross AS gross_amount, discount AS discount_amount, net AS net_amount,
    'CNY' AS currency, 'store' AS channel, local_to_utc(sale_time) AS ordered_at,
    local_to_utc(update_time) AS updated_at, local_to_utc(upload_time) AS recorded_at, _file, _row
FROM till
"""
RETAILER = {
    "name": "bench", "en": "Bench", "zh": "基准", "timezone": "Asia/Shanghai", "currency": "CNY",
    "history_from": "2024-01-01", "identifiers": {"crm": {"type": "member_id"}}, "models": {},
}  # fmt: skip
# Three lines an order, an order every 37 seconds.
SOURCE = """
SELECT
    'P' || lpad((i // 3)::VARCHAR, 10, '0') AS order_no, i % 3 + 1 AS line_no,
    'S' || lpad((hash(i) % 5000)::VARCHAR, 6, '0') AS sku, (hash(i + 1) % 4 + 1)::BIGINT AS qty,
    (hash(i + 2) % 100000 / 100)::DECIMAL(18, 2) AS price, (price * qty)::DECIMAL(18, 2) AS gross,
    (hash(i + 3) % 1000 / 100)::DECIMAL(18, 2) AS discount,
    (gross - discount)::DECIMAL(18, 2) AS net,
    TIMESTAMP '2024-07-01' + to_seconds(i // 3 * 37 % 60000000) AS sale_time,
    sale_time + INTERVAL 5 MINUTE AS update_time, sale_time + INTERVAL 1 HOUR AS upload_time
FROM range($rows) AS numbers (i)
"""


def main(rows: int = ROWS) -> bool:
    """Land and copy both files, and compare their CPU seconds.

    Returns:
        Whether landing took at most one and a half times what COPY took, for either file, and
        never held 2 GB.
    """
    with tempfile.TemporaryDirectory(prefix="siyu-bench-") as folder:
        home = Path(folder)
        _make_sources(home, rows)
        taken: dict[tuple[str, str], list[Cost]] = defaultdict(list)
        for form in FORMATS:
            for work in ("copy", "land") * TRIES:
                taken[work, form].append(_apart(home, work, form))
    costs = {done: min(each, key=lambda cost: cost.cpu_seconds) for done, each in taken.items()}
    ratios = {
        form: costs["land", form].cpu_seconds / costs["copy", form].cpu_seconds for form in FORMATS
    }
    peak = max(cost.peak_bytes for form in FORMATS for cost in taken["land", form])
    return report(
        name="landing_ratio",
        value=max(ratios.values()),
        unit="ratio of CPU seconds, the worse of CSV and Parquet",
        goal=at_most(1.5, provided=peak < MOST_BYTES),
        compared_with="DuckDB's COPY of the same query to Parquet, in the same run",
        rows=rows,
        tries=TRIES,
        landing_peak_bytes=peak,
        most_peak_bytes=MOST_BYTES,
        **{f"{form}_ratio": ratio for form, ratio in ratios.items()},
        **{
            f"{form}_{work}_{figure}": getattr(cost, figure)
            for (work, form), cost in costs.items()
            for figure in ("cpu_seconds", "wall_seconds", "peak_bytes")
        },
    )


def _make_sources(home: Path, rows: int) -> None:
    with duckdb.connect() as connection:
        for form in FORMATS:
            connection.execute(
                f"COPY ({SOURCE}) TO '{home / f'till.{form}'}' (FORMAT {form})", {"rows": rows}
            )
            folder = home / "retailers" / form
            folder.mkdir(parents=True)
            till = {"format": form, "location": str(home / f"till.{form}")}
            (folder / "retailer.yaml").write_text(
                yaml.safe_dump({**RETAILER, "name": form, "inputs": {"till": till}})
            )
            (folder / f"{ENTITY}.sql").write_text(MAPPING)


def _apart(home: Path, work: str, form: str) -> Cost:
    """Run one piece of work in a process of its own, and from nothing."""
    shutil.rmtree(home / "home", ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.landing_ratio", work, str(home), form],
        cwd=REPO, check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    return Cost(**json.loads(done.stdout))


def _land(home: Path, form: str, rows: int) -> None:
    settings = _settings(home, form)
    (done,) = land_entity(settings, load_retailer(settings), ENTITY, "bench", NOW)
    if done.manifest is None or done.manifest.accepted != rows:
        raise RuntimeError(f"not every row landed: {done}")


def _copy(home: Path, form: str) -> None:
    settings = _settings(home, form)
    file = home / f"till.{form}"
    read = {
        "csv": f"SELECT *, row_number() OVER () AS _row FROM read_csv('{file}', header = true, "
        "auto_detect = false, columns = {columns})",
        "parquet": f"SELECT *, file_row_number + 1 AS _row FROM read_parquet('{file}', "
        "file_row_number = true)",
    }[form]
    entity = contract(ENTITY)
    mapped = {column.name for column in entity.columns if column.name in MAPPING}
    said = {
        "ordered_date": "CAST(utc_to_local(ordered_at) AS DATE)", "_event_at": "ordered_at",
        "_event_date": "ordered_date", "_known_at": "recorded_at", "_file": "_file",
        "_row": "_row", "_source": "'till'", "_batch_id": "'bench'",
        "_loaded_at": f"TIMESTAMP '{NOW:%Y-%m-%d %H:%M:%S}'",
    }  # fmt: skip
    shaped = ", ".join(
        f"CAST({said.get(c.name, c.name if c.name in mapped else 'NULL')} AS {c.sql_type}) "
        f"AS {c.name}"
        for c in entity.lake_columns
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        create_macros(connection, load_retailer(settings), NOW)
        names = connection.execute(f"DESCRIBE FROM '{home / 'till.parquet'}'").fetchall()
        columns = ", ".join(f"'{name[0]}': 'VARCHAR'" for name in names)
        read = read.replace("{columns}", f"{{{columns}}}")
        connection.execute(f"CREATE VIEW till AS SELECT *, '{file.name}' AS _file FROM ({read})")
        connection.execute(f"COPY (SELECT {shaped} FROM ({MAPPING})) TO '{home / form}.copied'")


def _settings(home: Path, form: str) -> Settings:
    return Settings(home / "home", form, home / "retailers", "duckdb", None)


def _measure(work: str, home: Path, form: str) -> None:
    """Do one piece of work and print its cost."""
    with duckdb.connect() as connection:
        counted = connection.execute(f"SELECT count(*) FROM '{home / 'till.parquet'}'").fetchone()
    rows = counted[0] if counted else 0
    with measured() as cost:
        if work == "land":
            _land(home, form, rows)
        else:
            _copy(home, form)
    print(json.dumps(asdict(cost)))


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in ("land", "copy"):
        _measure(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
    else:
        sys.exit(0 if main(*map(int, sys.argv[1:2])) else 1)
