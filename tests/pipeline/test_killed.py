"""A home restored from a backup, and runs on it that are killed: what is missing is made again.

The restored home first takes in all but one input, so that the run that is killed in a layer finds tables
there and a batch to take in. The runs are made once and in this order; each test looks at what was taken
down after one of them.
"""

from __future__ import annotations

import shutil
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
from siyu.lake import Manifest
from siyu.ops import Ledger
from siyu.paths import Paths

# No training is due in the restored home: it gets this from MLflow, which is in the backup.
RECORD_OF_TRAINING = "ml.model_metrics"
LANDED = "interactions"
# Refunds of the shops are there without it.
HELD_BACK, REFUNDS = "mall_refunds", "unified.fct_refund"


@dataclass(frozen=True)
class Killed:
    """A run that was killed, and what there was then.

    Attributes:
        ended: How it went.
        state: What was there.
        reader: Who read the publication meanwhile, where there was one.
    """

    ended: Ended
    state: State
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
    shutil.copytree(refreshed.sources, paths.root / "sources")
    with whole_job(paths.home, "demo") as made:
        yield made


@pytest.fixture(scope="module")
def restored(job: WholeJob) -> Contents:
    """What lake and quarantine held before anything was taken out."""
    return landed(job.paths)


@pytest.fixture(scope="module")
def behind(
    job: WholeJob,
    refreshed: Refreshed,
    restored: Contents,
    tmp_path_factory: pytest.TempPathFactory,
) -> State:
    """Taken in, up to unified, all but one input, whose files come afterwards."""
    (batch,) = (m for m in job.lake.manifests("refunds") if m.source == HELD_BACK)
    _let_land_again(job, batch)
    mall, aside = job.paths.root / "sources" / "mall", tmp_path_factory.mktemp("aside")
    for file in batch.files:
        shutil.move(mall / file.name, aside)
    layers = ["staging", "identity", "unified"]
    for made in (job.run("land"), job.run("refresh", refreshed.day, only=layers)):
        assert made.success, (made.failures, made.failed_checks)
    for file in aside.iterdir():
        shutil.move(file, mall)
    return job.state()


@pytest.fixture(scope="module")
def landing(job: WholeJob, behind: State) -> Killed:
    """Killed as it writes rows into the lake; the batch has been taken out to land again."""
    (batch,) = job.lake.manifests(LANDED)
    _let_land_again(job, batch)
    folder = job.lake.folder(LANDED)
    before = set(folder.rglob("*"))
    ended = run("land", {}, lambda _: set(folder.rglob("*")) != before)
    return Killed(ended, job.state())


@pytest.fixture(scope="module")
def layer(job: WholeJob, landing: Killed) -> Killed:
    """Killed as dbt takes a batch into tables of the unified layer."""
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
    return Killed(ended, job.state(), reader)


@pytest.fixture(scope="module")
def published(job: WholeJob, publishing: Killed) -> Again:
    return _again(job, "publish", None)


def _let_land_again(job: WholeJob, batch: Manifest) -> None:
    """Take a batch out of the lake; the next landing that finds its files brings it back."""
    settings, now = job.environment.settings, datetime.now(UTC)
    retract_batch(settings, batch.batch_id, now)
    restore_batch(settings, batch.batch_id, now)


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


def test_who_is_who_is_restored(refreshed: Refreshed, behind: State) -> None:
    assert behind.identity == refreshed.state.identity


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


def test_a_batch_that_a_killed_layer_was_taking_in_is_in_a_table_whole_or_not_at_all(
    behind: State, layer: Killed, whole: Again
) -> None:
    before, after = behind.tables[REFUNDS], whole.state.tables[REFUNDS]
    assert 0 < before[0] < after[0]
    assert layer.state.tables[REFUNDS] in (before, after)


def test_the_run_after_succeeds(whole: Again) -> None:
    assert whole.run.success, (whole.run.failures, whole.run.failed_checks)
    assert whole.state.blocks == {}


def test_lake_and_quarantine_hold_what_they_held(restored: Contents, whole: Again) -> None:
    assert whole.landed["quarantine"][0] > 0
    assert whole.landed == restored


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
