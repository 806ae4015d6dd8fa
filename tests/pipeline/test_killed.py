"""A home restored from a backup, and runs on it that are killed: what is missing is made again.

The runs are made once and in this order; each test looks at what was taken down after one of them.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import pytest
from first_refresh import Refreshed
from whole_job import Run, State, WholeJob, fingerprints, whole_job

from benchmarks._killing import Contents, Ended, Progress, Reader, held, landed, run
from ml.registry import Registry
from ml.tasks import task_of
from siyu.backup import restore
from siyu.ingestion import restore_batch, retract_batch
from siyu.ops import Ledger
from siyu.paths import Paths

# No training is due in the restored home: it gets this from MLflow, which is in the backup.
RECORD_OF_TRAINING = "ml.model_metrics"
LANDED = "interactions"


@dataclass(frozen=True)
class Killed:
    """A run that was killed, and what there was then.

    Attributes:
        ended: How it went.
        state: What was there.
        landed: What lake and quarantine had held before, where it was taken down.
        reader: Who read the publication meanwhile, where there was one.
    """

    ended: Ended
    state: State
    landed: Contents | None = None
    reader: Reader | None = None


@dataclass(frozen=True)
class Again:
    """The run after a kill.

    Attributes:
        run: How it went.
        state: What there was after it.
        landed: What lake and quarantine held after it.
        open_runs: Runs said to be going on although none is.
        litter: What nobody will ever read.
    """

    run: Run
    state: State
    landed: Contents
    open_runs: list[str]
    litter: list[str]


@pytest.fixture(scope="module")
def job(refreshed: Refreshed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeJob]:
    paths = Paths(tmp_path_factory.mktemp("restored"), "demo")
    restore(refreshed.backup, paths, refreshed.keys)
    (paths.root / "sources").symlink_to(refreshed.sources)
    with whole_job(paths.home, "demo") as made:
        yield made


@pytest.fixture(scope="module")
def landing(job: WholeJob) -> Killed:
    """Killed as it writes rows into the lake; the batch has been taken out to land again."""
    undisturbed = landed(job.paths)
    (batch,) = job.lake.manifests(LANDED)
    settings, now = job.environment.settings, datetime.now(UTC)
    retract_batch(settings, batch.batch_id, now)
    restore_batch(settings, batch.batch_id, now)
    folder = job.lake.folder(LANDED)
    before = set(folder.rglob("*"))
    ended = run("land", {}, lambda _: set(folder.rglob("*")) != before)
    return Killed(ended, job.state(), undisturbed)


@pytest.fixture(scope="module")
def layer(job: WholeJob, landing: Killed) -> Killed:
    """Killed as dbt writes tables of the unified layer."""
    ledger, log = Ledger(job.paths.ops), job.paths.warehouse.with_suffix(".duckdb.wal")
    before = ledger.newest("unified.fct_order")

    def writing(progress: Progress) -> bool:
        return (
            any(step.name == "identity" for step in progress.steps)
            and ledger.newest("unified.fct_order") != before
            and log.exists()
        )

    ended = run("refresh", {}, writing)
    return Killed(ended, job.state())


@pytest.fixture(scope="module")
def whole(job: WholeJob, refreshed: Refreshed, layer: Killed) -> Again:
    return _again(job, "refresh", refreshed.day)


@pytest.fixture(scope="module")
def publishing(job: WholeJob, whole: Again) -> Killed:
    """Killed as it copies tables into the next publication."""
    reader = Reader(job.paths)
    ended = run("publish", {}, lambda _: any(job.paths.serving.glob(".*.partial")), reader.look)
    return Killed(ended, job.state(), reader=reader)


@pytest.fixture(scope="module")
def published(job: WholeJob, publishing: Killed) -> Again:
    return _again(job, "publish", None)


def _again(job: WholeJob, name: str, day: str | None) -> Again:
    done, found = job.run(name, day), held(job.paths)
    return Again(done, job.state(), found.landed, list(found.open_runs), list(found.litter))


# --- restored ----------------------------------------------------------------------------------


def test_the_models_in_use_are_restored_and_can_be_loaded(job: WholeJob) -> None:
    registry, retailer = Registry(job.paths), job.environment.retailer
    names = [task_of(retailer, name).model_name for name in retailer.models]
    champions = [champion for name in names if (champion := registry.champion(name))]
    assert champions
    for champion in champions:
        assert registry.load(champion).features


def test_who_is_who_is_restored(refreshed: Refreshed, landing: Killed) -> None:
    assert landing.state.identity == refreshed.state.identity


# --- killed ------------------------------------------------------------------------------------


def test_each_run_was_killed_at_the_work_it_was_to_be_killed_at(
    landing: Killed, layer: Killed, publishing: Killed
) -> None:
    assert {killed.ended.code for killed in (landing, layer, publishing)} == {-signal.SIGKILL}
    done = [[step.name for step in k.ended.progress.steps] for k in (landing, layer, publishing)]
    assert f"lake/{LANDED}" not in done[0]
    assert "identity" in done[1]
    assert "unified" not in done[1]
    assert done[2] == []


def test_the_run_after_succeeds(whole: Again) -> None:
    assert whole.run.success, (whole.run.failures, whole.run.failed_checks)
    assert whole.state.blocks == {}


def test_lake_and_quarantine_hold_what_they_held(landing: Killed, whole: Again) -> None:
    assert whole.landed["quarantine"][0] > 0
    assert whole.landed == landing.landed


def test_every_customer_keeps_their_id(refreshed: Refreshed, whole: Again) -> None:
    assert whole.state.identity == refreshed.state.identity


def test_every_table_is_the_same_as_before_the_backup(
    refreshed: Refreshed, job: WholeJob, whole: Again
) -> None:
    with duckdb.connect(str(refreshed.publication), read_only=True) as connection:
        before = fingerprints(connection, refreshed.day)
    with job.published() as connection:
        after = fingerprints(connection, refreshed.day)
    assert before[RECORD_OF_TRAINING]
    assert after == before


@pytest.mark.parametrize("after", ["whole", "published"])
def test_no_run_is_left_open_and_nothing_half_written(
    after: str, request: pytest.FixtureRequest
) -> None:
    again: Again = request.getfixturevalue(after)
    assert again.open_runs == []
    assert again.litter == []


# --- killed while publishing -------------------------------------------------------------------


def test_the_last_publication_can_be_read_all_the_while(whole: Again, publishing: Killed) -> None:
    assert publishing.reader is not None
    assert publishing.reader.readings > 1
    assert publishing.state.publication == whole.state.publication
    assert publishing.state.published == whole.state.published


def test_publishing_again_puts_up_a_new_one_of_the_same_tables(
    whole: Again, published: Again
) -> None:
    assert published.run.success, published.run.failures
    assert published.state.publication != whole.state.publication
    assert published.state.published == whole.state.published
