"""The whole job on the simulator's tiny retailer: it works, repeats, stops, and finds its way back.

The runs are made once and in this order, on the home of the first refresh; each test looks at what was
taken down after one of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
import duckdb
import pytest
from canary import DIRECT, canaries
from first_refresh import Refreshed
from typer.testing import CliRunner
from whole_job import Run, State, WholeJob, whole_job

from benchmarks.erasure import chosen, of_others, values_of
from ml.erasure import AFFECTED
from ml.registry import Registry
from siyu import dictionary
from siyu.audit import AuditLog
from siyu.cli import app
from siyu.contracts import contracts
from siyu.ingestion import retract_batch
from siyu.privacy.search import Find, Finder
from siyu.privacy.subject import find_subject
from siyu.serving import Status, status

PUBLISHED = (
    "unified.dim_customer", "unified.customer_identifier", "unified.fct_order",
    "marts.customer_360", "marts.customer_rfm", "marts.kpi_weekly", "marts.cohort_retention",
    "features.customer_features", "features.customer_labels", "ml.customer_scores",
)  # fmt: skip
OPS = (
    "audit_log", "batch", "gate_result", "lateness", "quarantine", "quarantine_summary", "run",
    "table_version",
)  # fmt: skip
# Groups of assets below the lake. A refresh trains only what is due; the job that trains asks at once.
BELOW = (
    "staging", "identity", "unified", "marts", "features", "ops", "models", "ml", "serving",
)  # fmt: skip
JOBS = {"models": "train", "ml": "score"}
# Rows of another till's make: the codes of their states are none that the mapping knows.
BAD_ROWS = 400


@dataclass(frozen=True)
class After:
    """A run, and what there was after it."""

    run: Run
    state: State


@dataclass(frozen=True)
class Blocked:
    """A refresh on a bad batch, the runs that tried to go on without it, and the state of things.

    Attributes:
        refresh: The refresh.
        attempts: Later runs of a single group, by group.
        state: What there was after all of them.
        status: What ``siyu status`` had to say.
    """

    refresh: Run
    attempts: dict[str, Run]
    state: State
    status: Status


@pytest.fixture(scope="module")
def job(refreshed: Refreshed) -> Iterator[WholeJob]:
    with whole_job(refreshed.home, "demo") as made:
        yield made


@pytest.fixture(scope="module")
def day(refreshed: Refreshed) -> str:
    return refreshed.day


@pytest.fixture(scope="module")
def first(refreshed: Refreshed) -> After:
    return After(refreshed.run, refreshed.state)


@pytest.fixture(scope="module")
def second(job: WholeJob, day: str, first: After) -> After:
    return After(job.run("refresh", day), job.state())


@pytest.fixture(scope="module")
def blocked(job: WholeJob, day: str, second: After) -> Blocked:
    pos = job.paths.root / "sources" / "pos"
    duckdb.execute(
        f"COPY (SELECT * REPLACE (order_no || '-X' AS order_no, '?' AS state) "
        f"FROM read_parquet('{pos}/orders_*.parquet') LIMIT {BAD_ROWS}) "
        f"TO '{pos}/orders_from_new_tills.parquet'"
    )
    refresh = job.run("refresh", day)
    attempts = {group: job.run(JOBS.get(group, "refresh"), day, only=[group]) for group in BELOW}
    return Blocked(refresh, attempts, job.state(), status(job.paths))


@pytest.fixture(scope="module")
def recovered(job: WholeJob, day: str, blocked: Blocked) -> After:
    (bad,) = (
        manifest
        for manifest in job.lake.manifests("orders")
        if any("new_tills" in file.name for file in manifest.files)
    )
    retract_batch(job.environment.settings, bad.batch_id, datetime.now(UTC))
    return After(job.run("refresh", day), job.state())


@pytest.fixture(scope="module")
def backfilled(job: WholeJob, recovered: After) -> After:
    with job.published() as connection:
        found = connection.execute("SELECT min(as_of_date) FROM features.customer_features")
        (earliest,) = found.fetchone() or (None,)
    return After(job.run("score", str(earliest)), job.state())


# --- from files to a publication ---------------------------------------------------------------


def test_every_step_runs_on_what_landed(first: After) -> None:
    assert first.run.failures == {}
    assert {"staging", "identity", "unified", "marts", "features", "ops"} < first.run.steps
    assert {"models__churn", "ml__customer_scores", "serving__publication"} < first.run.steps


def test_nothing_blocks_after_a_refresh(first: After) -> None:
    assert first.state.blocks == {}


@pytest.mark.parametrize("table", PUBLISHED)
def test_a_table_is_published_with_rows(first: After, table: str) -> None:
    rows, _ = first.state.published[table]
    assert rows > 0


def test_what_is_published_is_what_the_warehouse_holds(first: After) -> None:
    assert first.state.published == first.state.tables


@pytest.mark.usefixtures("first")
def test_the_record_of_the_run_is_published_beside_the_tables(job: WholeJob) -> None:
    with job.published() as connection:
        for table in OPS:
            (rows,) = connection.execute(f"SELECT count(*) FROM ops.{table}").fetchone() or (0,)
            assert rows > 0, table


@pytest.mark.usefixtures("first")
def test_every_published_table_and_column_is_described(job: WholeJob) -> None:
    with job.published() as connection:
        tables = connection.execute(
            "SELECT schema_name || '.' || table_name, comment FROM duckdb_tables()"
        ).fetchall()
        silent = connection.execute(
            "SELECT schema_name, table_name, column_name FROM duckdb_columns() "
            "WHERE NOT internal AND comment IS NULL"
        ).fetchall()
    page = dictionary.FILE.read_text("utf-8")
    assert [name for name, comment in tables if not comment] == []
    assert silent == []
    assert [name for name, _ in tables if f"\n### {name}\n" not in page] == []


@pytest.mark.usefixtures("first")
def test_consents_and_publications_are_in_the_audit_log_as_they_lie(job: WholeJob) -> None:
    entries = AuditLog.of(job.paths).entries()
    assert {entry.kind for entry in entries} == {"consents", "publication"}
    said = CliRunner().invoke(app, ["audit", "verify"])
    assert said.exit_code == 0, said.output


@pytest.mark.usefixtures("first")
def test_every_row_that_came_in_is_accounted_for(job: WholeJob) -> None:
    with job.published() as connection:
        counted = connection.execute(
            "SELECT entity, sum(rows_in), sum(accepted + duplicates + quarantined + suppressed) "
            "FROM ops.batch GROUP BY entity"
        ).fetchall()
    assert {entity for entity, _, _ in counted} == set(contracts())
    for entity, came_in, accounted in counted:
        assert came_in == accounted > 0, entity


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize(
    "table", [["features", "customer_features"], ["features", "customer_labels"],
              ["ml", "customer_scores"]], ids="/".join,
)  # fmt: skip
def test_the_day_is_a_partition_that_dagster_knows(table: list[str], day: str) -> None:
    with dg.DagsterInstance.get() as instance:
        assert day in instance.get_materialized_partitions(dg.AssetKey(table))


@pytest.mark.usefixtures("first")
def test_the_days_that_training_learned_from_are_partitions_too(job: WholeJob, day: str) -> None:
    with dg.DagsterInstance.get() as instance:
        known = instance.get_materialized_partitions(dg.AssetKey(["features", "customer_features"]))
    with job.published() as connection:
        held = connection.execute(
            "SELECT DISTINCT as_of_date FROM features.customer_features"
        ).fetchall()
    assert known == {as_of.isoformat() for (as_of,) in held}
    assert known > {day}


@pytest.mark.usefixtures("first")
def test_scores_are_of_the_day_and_say_why(job: WholeJob, day: str) -> None:
    with job.published() as connection:
        scored = connection.execute(
            "SELECT DISTINCT CAST(as_of_date AS VARCHAR), reason_1 IS NOT NULL "
            "FROM ml.customer_scores"
        ).fetchall()
    assert scored == [(day, True)]


@pytest.fixture(scope="module")
def page(job: WholeJob, first: After) -> list[list[str]]:
    """What `siyu summary` prints after the first refresh, line by line, by cell."""
    said = CliRunner().invoke(app, ["summary"], env={"COLUMNS": "200"})
    assert said.exit_code == 0, said.output
    lines = (re.split(r"[│┃]", line.strip("│┃ ")) for line in said.output.split("\n"))
    return [[cell.strip() for cell in line] for line in lines]


def test_the_summary_counts_the_rows_of_every_entity_as_the_manifests_do(
    job: WholeJob, page: list[list[str]]
) -> None:
    outcomes = ("rows_in", "accepted", "duplicates", "quarantined", "suppressed")
    shown = {entity: counts for entity, *counts in page if len(counts) == len(outcomes)}
    totals = dict.fromkeys(outcomes, 0)
    for entity in contracts():
        manifests = job.lake.manifests(entity)
        counts = {name: sum(getattr(m, name) for m in manifests) for name in outcomes}
        totals = {name: totals[name] + counts[name] for name in outcomes}
        assert shown[entity] == [f"{counts[name]:,}" for name in outcomes]
    assert shown["all"] == [f"{totals[name]:,}" for name in outcomes]


def test_the_summary_says_of_customers_what_is_published(
    job: WholeJob, page: list[list[str]]
) -> None:
    shown = {cells[0]: cells[1] for cells in page if len(cells) == 2}
    with job.published() as connection:
        (customers, revenue) = connection.execute(
            "SELECT (SELECT count(*) FROM marts.customer_360), "
            "(SELECT sum(net_revenue) FROM marts.kpi_weekly)"
        ).fetchone() or (None, None)
    assert (shown["customers"], shown["net revenue"]) == (f"{customers:,}", f"{revenue:,.2f}")


def test_the_summary_shows_each_model_beside_its_baselines(
    job: WholeJob, page: list[list[str]]
) -> None:
    shown = {tuple(cells) for cells in page if len(cells) == 4}
    with job.published() as connection:
        kept = connection.execute(
            "SELECT DISTINCT task, model, auc, pr_auc, log_loss FROM "
            "(PIVOT ml.model_metrics ON metric USING first(value) GROUP BY task, model)"
        ).fetchall()
    assert {task for task, *_ in kept} == {"churn", "repurchase"}
    assert {"logistic", "prior", "recency", "frequency"} < {model for _, model, *_ in kept}
    for _, model, *values in kept:
        assert (model, *("–" if v is None else f"{v:.4f}" for v in values)) in shown


def test_the_summary_says_what_passed_and_what_is_published(
    day: str, first: After, page: list[list[str]]
) -> None:
    said = " ".join(cell for cells in page for cell in cells)
    assert re.search(r"Gates: [1-9]\d* checks passed, \d+ warn, 0 block", said)
    assert f"Published: as of {day}, in {first.state.publication}" in said
    assert "Blocked: nothing" in said
    assert "make ui" in said


# --- again -------------------------------------------------------------------------------------


def test_a_refresh_of_the_same_files_lands_nothing(first: After, second: After) -> None:
    assert second.run.success, second.run.failures
    assert {"lake__orders", "serving__publication"} < second.run.steps
    assert second.state.lake == first.state.lake


def test_a_refresh_of_the_same_files_leaves_every_customer_their_id(
    first: After, second: After
) -> None:
    assert second.state.identity == first.state.identity


def test_a_refresh_of_the_same_files_changes_no_row_of_any_table(
    first: After, second: After
) -> None:
    assert second.state.tables == first.state.tables


def test_a_refresh_of_the_same_files_leaves_the_publication_as_it_stands(
    first: After, second: After
) -> None:
    # It goes by the versions of all that is above it: none was made again.
    assert second.state.publication == first.state.publication


# --- a bad batch -------------------------------------------------------------------------------


def test_a_bad_batch_fails_its_gate_and_says_by_how_much(blocked: Blocked) -> None:
    assert not blocked.refresh.success
    said = blocked.refresh.failed_checks["lake.orders"]
    assert re.search(r"at most 2\.00% of the rows that came in.* found \d+\.\d\d%", said)


def test_nothing_below_a_failed_gate_runs(blocked: Blocked) -> None:
    below = {"staging", "identity", "unified", "marts", "features", "models__churn",
             "ml__customer_scores", "serving__publication"}  # fmt: skip
    assert not below & blocked.refresh.steps


@pytest.mark.parametrize("group", BELOW)
def test_a_later_run_of_only_what_is_below_is_refused_with_the_reason(
    blocked: Blocked, group: str
) -> None:
    attempt = blocked.attempts[group]
    assert not attempt.success
    assert attempt.failures
    for said in attempt.failures.values():
        assert (
            "blocked by a gate: lake.orders: failed gx:pos_orders_newest_quarantined_share" in said
        )
        assert "retract the batch" in said


def test_the_last_publication_stays_up_untouched(second: After, blocked: Blocked) -> None:
    assert blocked.state.publication == second.state.publication
    assert blocked.state.published == second.state.published
    assert blocked.state.tables == second.state.tables


def test_status_names_the_block_and_what_to_do(blocked: Blocked) -> None:
    (block,) = blocked.status.blocks
    assert block.table == "lake.orders"
    assert "gx:quarantined_share" in block.reason
    assert "retract the batch" in block.remedy
    assert blocked.status.last_runs[0]["status"] == "failed"
    assert blocked.status.published is not None


# --- the way back ------------------------------------------------------------------------------


def test_retracting_the_batch_and_refreshing_is_the_way_back(
    second: After, blocked: Blocked, recovered: After
) -> None:
    assert recovered.run.success, (recovered.run.failures, recovered.run.failed_checks)
    assert recovered.state.blocks == {}
    assert recovered.state.publication != blocked.state.publication


def test_the_way_back_ends_where_it_began(second: After, recovered: After) -> None:
    assert recovered.state.identity == second.state.identity
    assert recovered.state.published == second.state.tables


# --- a backfill --------------------------------------------------------------------------------


def test_a_backfill_of_the_earliest_day_adds_its_scores_and_changes_nothing_else(
    recovered: After, backfilled: After
) -> None:
    assert backfilled.run.success, (backfilled.run.failures, backfilled.run.failed_checks)
    before, after = recovered.state.tables, backfilled.state.tables
    assert {table for table in after if after[table] != before[table]} == {"ml.customer_scores"}
    assert backfilled.state.blocks == {}


# --- privacy -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def watched(job: WholeJob) -> Finder:
    return Finder(canaries(job.paths.root / "sources"))


def test_the_search_finds_what_it_looks_for_where_it_is(job: WholeJob, watched: Finder) -> None:
    found = watched.below(job.paths.root / "sources")
    assert {find.label.split()[0] for find in found} == set(DIRECT)


@pytest.mark.usefixtures("recovered")
def test_no_direct_identifier_is_anywhere_but_in_the_sources_and_the_vault(
    job: WholeJob, watched: Finder
) -> None:
    apart = (job.paths.root / "sources", job.paths.keys, job.paths.vault)
    assert watched.below(job.environment.settings.home, apart) == []


@pytest.mark.usefixtures("recovered")
@pytest.mark.parametrize(
    "place", ["demo/lake", "demo/quarantine", "demo/warehouse", "demo/serving", "demo/ops.sqlite3",
              "demo/dagster", "mlflow"],
)  # fmt: skip
def test_every_place_that_is_searched_is_there(job: WholeJob, place: str) -> None:
    assert (job.environment.settings.home / place).exists()


# --- erasing somebody ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Erased:
    """Somebody was erased by the command.

    Attributes:
        customer: Who.
        said: What it printed.
        found_before: Names and orders of theirs that publications held before.
        found: Where names, orders and values of theirs are in the home afterwards.
        others_before: Rows of the unified layer that are of others, by table.
        others: The same afterwards.
        published: Who is in the publication afterwards.
    """

    customer: str
    said: str
    found_before: set[str]
    found: list[Find]
    others_before: Mapping[str, tuple[int, int]]
    others: Mapping[str, tuple[int, int]]
    published: set[str]


@pytest.fixture(scope="module")
def erased(job: WholeJob, backfilled: After) -> Erased:
    assert backfilled.run.success
    (customer,) = chosen(job.paths, 1)
    subject = find_subject(job.paths, [customer])
    finder, apart = Finder(values_of(job.paths, subject)), [job.paths.root / "sources"]
    before = {find.label for find in finder.below(job.paths.serving)}
    others = of_others(job.paths.warehouse, subject.customers)
    done = CliRunner().invoke(app, ["erase", "--customer", customer, "--yes"])
    assert done.exit_code == 0, done.output
    with job.published() as connection:
        rows = connection.execute("SELECT customer_id FROM unified.dim_customer").fetchall()
    return Erased(
        customer, done.output, before, finder.below(job.environment.settings.home, apart), others,
        of_others(job.paths.warehouse, subject.customers), {row[0] for row in rows},
    )  # fmt: skip


def test_an_erased_customer_is_in_no_file_of_a_whole_home(erased: Erased) -> None:
    assert {label.split()[0] for label in erased.found_before} == {"name", "order"}
    assert erased.found == []


def test_others_are_as_they_were_and_published(erased: Erased) -> None:
    assert erased.others == erased.others_before
    assert erased.customer not in erased.published
    assert len(erased.published) > 100


def test_models_that_learned_from_the_erased_are_tagged(job: WholeJob, erased: Erased) -> None:
    models = Registry(job.paths).all_versions("demo")
    assert models
    for model in models:
        assert model.tags[AFFECTED].startswith("erasure-")
        assert f"{model.name}/{model.version}" in erased.said
