"""How well identities are resolved, judged by what the simulator knows to be true.

``python -m benchmarks identity_truth`` takes the demo's 5,000 members; ``python -m
benchmarks.identity_truth 500`` is a trial. The figure is pairwise recall at the demo's dirt; pairwise
precision is part of the goal. Both are printed for half and for three times the dirt too.

A pair is two identifiers that some source names, both of which the truth knows. It is right when one
person has both, and said when resolution gives both to one customer. The figure is the share of the right
pairs that were said, of those that any chain of evidence among the person's own identifiers connects, under
whatever rule; beside it stands the share of all right pairs, also those of which no source tells (a contact
without a union id whose phone nobody noted). What resolution refuses on purpose counts as missed: a phone
that relatives share is right with the identifiers of each, and can be given to one only; a second
membership is right with all that its person has, and the cap on memberships forbids it. Junk phones are
nobody's and in no pair.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from benchmarks._report import at_least, measured, report
from siyu.config import REPO, Settings
from siyu.identity import IdentityStore, resolve
from siyu.ingestion import land_entity
from siyu.paths import Paths
from siyu.retailer import Retailer, load_retailer
from siyu.simulator import simulate
from siyu.transform import dbt_vars, register_lake, run_dbt
from siyu.vault import Vault, junk_tokens
from siyu.warehouse import Warehouse

MEMBERS = 5_000
RECALL, PRECISION = 0.98, 0.999
# What every rate of dirt is multiplied by; 1 is the demo's.
DIRT = {"half": 0.5, "demo": 1.0, "triple": 3.0}
NOW = datetime(2026, 7, 1, 4, tzinfo=UTC)


@dataclass(frozen=True)
class Agreement:
    """Pairs of identifiers, by what is true and what was said of them.

    Attributes:
        right: Of one person.
        said: Of one customer.
        both: Of one person and one customer.
        connected: Of one person, and connected by evidence among that person's identifiers.
        connected_said: Those of them that are of one customer.
    """

    right: int
    said: int
    both: int
    connected: int
    connected_said: int

    @property
    def precision(self) -> float:
        """Share of the pairs said that are right."""
        return self.both / self.said

    @property
    def recall(self) -> float:
        """Share of the right pairs that were said."""
        return self.both / self.right

    @property
    def connected_recall(self) -> float:
        """Share of the right pairs that evidence connects that were said."""
        return self.connected_said / self.connected


def main(members: int = MEMBERS) -> bool:
    """Simulate, land and resolve at each level of dirt.

    Returns:
        Whether recall and precision reach their goals at the demo's dirt.
    """
    found: dict[str, Agreement] = {}
    with tempfile.TemporaryDirectory(prefix="siyu-bench-") as folder, measured() as cost:
        for name, dirt in DIRT.items():
            found[name] = _resolved(Path(folder) / name, members, dirt)
    demo = found["demo"]
    return report(
        name="identity_truth",
        value=demo.connected_recall,
        unit="share of the pairs of one person that evidence connects",
        goal=at_least(RECALL, provided=demo.precision >= PRECISION),
        compared_with="the simulator's truth",
        members=members,
        least_precision=PRECISION,
        cpu_seconds=cost.cpu_seconds,
        **{
            f"{level}_dirt_{what}": figure
            for level, one in found.items()
            for what, figure in _figures(one, DIRT[level]).items()
        },
    )


def _figures(found: Agreement, dirt: float) -> dict[str, float]:
    return {
        "multiplier": dirt,
        "precision": found.precision,
        "wrong_pairs": found.said - found.both,
        "recall": found.connected_recall,
        "recall_of_all_pairs": found.recall,
        "connected_pairs": found.connected,
        "all_pairs": found.right,
    }


def _resolved(folder: Path, members: int, dirt: float) -> Agreement:
    """A retailer of its own, simulated, landed and resolved."""
    settings = Settings(
        home=folder, retailer="demo", retailers=REPO / "retailers", engine="duckdb", as_of=None
    )
    retailer, paths = load_retailer(settings), Paths.of(settings)
    made = simulate(paths.root / "sources", members, dirt=dirt)
    for entity in sorted(retailer.mappings):
        land_entity(settings, retailer, entity, "bench", NOW)
    register_lake(settings, retailer)
    chosen = ["+stg_identifier", "+stg_identity_edge"]
    run = run_dbt(settings, ["run", "--select", *chosen], dbt_vars(retailer, made.through))
    if not run.success:
        raise RuntimeError("; ".join(one.message for one in run.results if one.status == "error"))
    return agreement(
        true_identifiers(paths, retailer),
        _resolve(settings, retailer),
        Warehouse.of(settings).read("FROM staging.stg_identity_edge"),
    )


def _resolve(settings: Settings, retailer: Retailer) -> pa.Table:
    warehouse, paths = Warehouse.of(settings), Paths.of(settings)
    return resolve(
        warehouse.read("FROM staging.stg_identifier"),
        warehouse.read("FROM staging.stg_identity_edge"),
        IdentityStore(paths).previous(),
        {name: one.cap for name, one in retailer.identifiers.items()},
        [name for name, one in retailer.identifiers.items() if one.type == "member_id"],
        junk_tokens(paths, "phone") | junk_tokens(paths, "email"),
        "bench",
    ).customer_identifier


def true_identifiers(paths: Paths, retailer: Retailer) -> pa.Table:
    """``person_id, identifier`` of the truth, phones as the tokens that they have in the lake."""
    truth = pq.read_table(paths.root / "sources" / "truth" / "identifiers.parquet")
    phones = truth.filter(pc.equal(truth["namespace"], "phone"))
    others = truth.filter(pc.not_equal(truth["namespace"], "phone"))
    tokens = Vault.of(paths).tokenise("phone", phones["value"].to_pylist(), retailer.phone_region)
    named = pc.binary_join_element_wise(others["namespace"], others["value"], ":")
    return pa.table(
        {
            "person_id": pa.concat_arrays(
                [others["person_id"].combine_chunks(), phones["person_id"].combine_chunks()]
            ),
            "identifier": pa.concat_arrays(
                [named.combine_chunks(), pa.array([one.token for one in tokens], pa.string())]
            ),
        }
    )


def agreement(truth: pa.Table, held: pa.Table, edges: pa.Table) -> Agreement:
    """Compare customers with persons.

    Args:
        truth: ``person_id, identifier``, each once; an identifier may be of several persons.
        held: ``identifier, customer_id``; null for junk, which is in no pair.
        edges: ``identifier_a, identifier_b``: the evidence.
    """
    with duckdb.connect() as connection:
        connection.register("truth", truth)
        connection.register("held", held)
        connection.register("edge", edges)
        connection.execute(
            "CREATE TABLE own AS SELECT person_id, identifier, customer_id, "
            "row_number() OVER () - 1 AS node FROM truth JOIN held USING (identifier) "
            "WHERE customer_id IS NOT NULL"
        )
        links = connection.execute(
            "SELECT a.node AS a, b.node AS b FROM edge JOIN own AS a ON identifier_a = a.identifier "
            "JOIN own AS b ON identifier_b = b.identifier AND a.person_id = b.person_id"
        ).fetchnumpy()
        (nodes,) = connection.execute("SELECT count(*) FROM own").fetchall()[0]
        ones = np.ones(len(links["a"]), np.int8)
        graph = coo_array((ones, (links["a"], links["b"])), shape=(nodes, nodes))
        _, component = connected_components(graph, directed=False)
        connection.register("part", pa.table({"node": np.arange(nodes), "component": component}))
        counts = connection.execute(_COUNTS).fetchall()[0]
    return Agreement(*counts)


_COUNTS = """
WITH found AS (SELECT own.*, component FROM own JOIN part USING (node)),
of_person AS (
    SELECT
        a.identifier AS a, b.identifier AS b,
        bool_or(a.component = b.component) AS is_connected,
        any_value(a.customer_id = b.customer_id) AS is_said
    FROM found AS a JOIN found AS b ON a.person_id = b.person_id AND a.identifier < b.identifier
    GROUP BY a.identifier, b.identifier
),
of_customer AS (
    SELECT DISTINCT a.identifier AS a, b.identifier AS b
    FROM found AS a JOIN found AS b ON a.customer_id = b.customer_id AND a.identifier < b.identifier
)
SELECT
    count(*),
    (SELECT count(*) FROM of_customer),
    count(*) FILTER (WHERE is_said),
    count(*) FILTER (WHERE is_connected),
    count(*) FILTER (WHERE is_connected AND is_said)
FROM of_person
"""


if __name__ == "__main__":
    sys.exit(0 if main(*map(int, sys.argv[1:2])) else 1)
