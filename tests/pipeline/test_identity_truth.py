"""Who is who in the tiny retailer, as published, beside what the simulator knows to be true."""

from __future__ import annotations

import duckdb
import pyarrow as pa
from first_refresh import Refreshed

from benchmarks.identity_truth import agreement, true_identifiers
from siyu.config import REPO, Settings
from siyu.paths import Paths
from siyu.retailer import load_retailer

NO_EDGES = pa.table(
    {"identifier_a": pa.array([], pa.string()), "identifier_b": pa.array([], pa.string())}
)


def test_customers_are_the_persons_that_they_were_simulated_as(refreshed: Refreshed) -> None:
    settings = Settings(
        home=refreshed.home,
        retailer="demo",
        retailers=REPO / "retailers",
        engine="duckdb",
        as_of=None,
    )
    with duckdb.connect(str(refreshed.publication), read_only=True) as connection:
        held = connection.execute("FROM unified.customer_identifier").to_arrow_table()

    truth = true_identifiers(Paths.of(settings), load_retailer(settings))
    found = agreement(truth, held, NO_EDGES)

    assert found.precision >= 0.999
    # Of all pairs, also those of which no source tells; the benchmark's goal leaves these out.
    assert found.recall >= 0.93
