"""Identity, scores and the publication stand as long as nothing that they follow from has changed.

The steps are the real ones, with one or two tables above them; what they do is stood in for by
something that notes that it was called.
"""

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from small_workspace import failures, open_corner_shop

import ml.steps
from ml.metrics_schema import METRICS_TABLE
from orchestration.defs.models import scores
from orchestration.defs.serving import publication
from orchestration.defs.transform import identity
from orchestration.lib import standing
from orchestration.resources import Workspace
from siyu import identity_rules
from siyu.config import Settings
from siyu.identity import IdentityStore, Resolution
from siyu.identity.history import PAST_SCHEMA
from siyu.identity.quality import NOTHING
from siyu.identity.resolution import EVENT_SCHEMA, MAP_SCHEMA, REFUSED_SCHEMA
from siyu.ops import GateResult, Ledger
from siyu.paths import Paths
from siyu.serving import Publication, publish, status
from siyu.warehouse import Warehouse

DAY = date(2026, 6, 30)
ABOVE = "marts.customer_360"


class Step:
    """One of the real steps.

    Attributes:
        done: How often it did what it is there for.
        champion: The model that scores.
    """

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.settings = Settings.from_env()
        self.paths = Paths.of(self.settings)
        self.ledger = Ledger(self.paths.ops)
        self.warehouse = Warehouse.of(self.settings)
        self.done = 0
        self.champion = "models:/churn/1"
        self._folder = folder
        self._instance = instance

    def write_above(self, *warnings: str) -> None:
        """A new version of the table above, and what its gate warned of."""
        self.warehouse.replace(ABOVE, pa.table({"customer_id": ["c1"]}))
        version = self.ledger.begin_write(ABOVE, "earlier", ["gx"], as_of=DAY)
        self.ledger.end_write(ABOVE, version, 1)
        self.judge_above(*warnings)

    def judge_above(self, *warnings: str) -> None:
        """What the gate says of the newest version of the table above."""
        version = self.ledger.newest(ABOVE)
        assert version is not None
        results = [GateResult("gx", "rows", "ERROR", "passed", "")]
        results += [GateResult("gx", rule, "WARN", "failed", "") for rule in warnings]
        self.ledger.record(ABOVE, version, "gx", results, "earlier")

    def run(self, definitions: dg.Definitions) -> dg.ExecuteInProcessResult:
        """Run the step as a refresh does, and well."""
        result = self.attempt(definitions)
        assert result.success, failures(result)
        return result

    def attempt(self, definitions: dg.Definitions) -> dg.ExecuteInProcessResult:
        """Run the step as a refresh does."""
        everything = dg.Definitions.merge(
            definitions,
            dg.Definitions(
                resources={"workspace": Workspace()}, executor=dg.in_process_executor,
                jobs=[dg.define_asset_job("all_assets")],
            ),
        )  # fmt: skip
        job = everything.resolve_job_def("all_assets")
        return job.execute_in_process(
            instance=self._instance, tags=standing.STANDS, raise_on_error=False,
            partition_key=DAY.isoformat() if job.partitions_def else None,
        )  # fmt: skip


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Step]:
    open_corner_shop(tmp_path, monkeypatch)
    monkeypatch.setenv("SIYU_AS_OF", DAY.isoformat())
    monkeypatch.setattr("orchestration.resources.workspace.last_complete_day", lambda _: DAY)
    with dg.DagsterInstance.ephemeral() as instance:
        made = Step(tmp_path, instance)
        made.write_above()
        yield made


# --- identity ----------------------------------------------------------------------------------


@pytest.fixture
def resolving(step: Step, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    def decide(*_: object) -> tuple[Resolution, pa.Table]:
        step.done += 1
        row = dict.fromkeys(MAP_SCHEMA.names) | {"identifier": "card:1", "customer_id": "c1"}
        event = dict.fromkeys(EVENT_SCHEMA.names) | {"event_id": "e1"}
        decided = Resolution(
            pa.Table.from_pylist([row], MAP_SCHEMA), pa.Table.from_pylist([event], EVENT_SCHEMA),
            REFUSED_SCHEMA.empty_table(), lambda: NOTHING,
        )  # fmt: skip
        return decided, PAST_SCHEMA.empty_table()

    monkeypatch.setattr(identity, "tables_above", lambda _: (ABOVE,))
    monkeypatch.setattr(identity, "_decide", decide)
    return identity.identity()


def test_who_is_who_is_not_decided_again(step: Step, resolving: dg.Definitions) -> None:
    first, second = step.run(resolving), step.run(resolving)

    assert step.done == 1
    assert len(second.get_asset_materialization_events()) == 5
    checks = second.get_asset_check_evaluations()
    assert {check.check_name for check in checks} == {"caps", "manual_rules", "quality"}
    for check in checks:
        assert check.passed
        assert check.metadata["judged_in_run"].value == first.run_id


def _another_map(step: Step) -> None:
    store = IdentityStore(step.paths)
    store.write(Resolution(
        MAP_SCHEMA.empty_table(), EVENT_SCHEMA.empty_table(), REFUSED_SCHEMA.empty_table(),
        lambda: NOTHING,
    ))  # fmt: skip


def _another_rule(step: Step) -> None:
    rules = step.settings.retailers / step.settings.retailer / identity_rules.FILE
    said = "unlink,phone:" + "0" * 32 + ",phone:" + "1" * 32 + ",zhang,2026-03-01,two people"
    rules.write_text(",".join(identity_rules.COLUMNS) + "\n" + said, "utf-8")


def _another_past(step: Step) -> None:
    row = dict.fromkeys(PAST_SCHEMA.names) | {"identifier": "card:1", "customer_id": "c2"}
    IdentityStore(step.paths).write_past(pa.Table.from_pylist([row], PAST_SCHEMA))


@pytest.mark.parametrize("change", [Step.write_above, _another_map, _another_past, _another_rule])
def test_who_is_who_is_decided_after(
    step: Step, resolving: dg.Definitions, change: Callable[[Step], None]
) -> None:
    step.run(resolving)
    change(step)
    step.run(resolving)

    assert step.done == 2


# --- scores ------------------------------------------------------------------------------------


@pytest.fixture
def scoring(step: Step, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    def score(*_: object) -> ml.steps.ScoringOutcome:
        step.done += 1
        step.warehouse.replace(scores.TABLE, pa.table({"customer_id": ["c1"]}))
        return ml.steps.ScoringOutcome("churn", DAY, 1, None, step.champion, 0.5)

    monkeypatch.setattr(scores, "tables_above", lambda _: (ABOVE,))
    monkeypatch.setattr(scores, "READS", (ABOVE,))
    monkeypatch.setattr(scores, "GATE", "scored")
    monkeypatch.setattr(scores, "gate_checks", lambda *_, **__: _passing(step))
    monkeypatch.setattr(scores, "configured_tasks", lambda _: ("churn",))
    monkeypatch.setattr(ml.steps, "score", score)
    monkeypatch.setattr(ml.steps, "champion_uri", lambda *_: step.champion)
    return scores.scores()


def _passing(step: Step) -> dg.AssetChecksDefinition:
    """A gate that lets every version pass."""

    @dg.asset_check(asset=dg.AssetKey(scores.TABLE.split(".")))
    def scored() -> dg.AssetCheckResult:
        version = step.ledger.newest(scores.TABLE)
        assert version is not None
        passed = GateResult("scored", "rows", "ERROR", "passed", "")
        step.ledger.record(scores.TABLE, version, "scored", [passed], "run")
        return dg.AssetCheckResult(passed=True)

    return scored


def test_nobody_is_scored_again(step: Step, scoring: dg.Definitions) -> None:
    first, second = step.run(scoring), step.run(scoring)

    assert step.done == 1
    (made,) = second.get_asset_materialization_events()
    assert first.run_id in str(made.materialization.metadata["churn"].value)
    assert made.materialization.metadata["dagster/partition_row_count"].value == 1


def _another_champion(step: Step) -> None:
    step.champion = "models:/churn/2"


def _no_scores(step: Step) -> None:
    with step.warehouse.connect(read_only=False) as connection:
        connection.execute(f"DROP TABLE {scores.TABLE}")


@pytest.mark.parametrize("change", [Step.write_above, _another_champion, _no_scores])
def test_everybody_is_scored_after(
    step: Step, scoring: dg.Definitions, change: Callable[[Step], None]
) -> None:
    step.run(scoring)
    change(step)
    step.run(scoring)

    assert step.done == 2


def _of_task(rows: int, champion: str | None) -> Callable[..., ml.steps.ScoringOutcome]:
    """A scoring in which repurchase goes well and churn as said."""

    def score(
        _settings: object, _retailer: object, task: str, *_: object
    ) -> ml.steps.ScoringOutcome:
        if task == "repurchase":
            return ml.steps.ScoringOutcome(task, DAY, 5, None, "models:/repurchase/1", 0.5)
        return ml.steps.ScoringOutcome(task, DAY, rows, "trained for another horizon", champion)

    return score


def test_a_champion_that_scores_nobody_fails_the_step_though_the_other_task_is_scored(
    step: Step, scoring: dg.Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "configured_tasks", lambda _: ("churn", "repurchase"))
    monkeypatch.setattr(ml.steps, "score", _of_task(0, "models:/churn/1"))

    (said,) = failures(step.attempt(scoring)).values()
    assert "no customer has a score as of 2026-06-30: churn by models:/churn/1" in said
    assert "trained for another horizon" in said
    (block,) = step.ledger.blocks([scores.TABLE])
    assert (block.day, block.reason) == (DAY, "its last write did not end")


def test_a_task_without_a_champion_leaves_the_other_to_be_scored(
    step: Step, scoring: dg.Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "configured_tasks", lambda _: ("churn", "repurchase"))
    monkeypatch.setattr(ml.steps, "score", _of_task(0, None))

    (made,) = step.run(scoring).get_asset_materialization_events()
    assert made.materialization.metadata["dagster/partition_row_count"].value == 5


# --- publication -------------------------------------------------------------------------------


@pytest.fixture
def publishing(step: Step, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    def watched(*arguments: object, **named: object) -> Publication:
        step.done += 1
        return publish(*arguments, **named)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(publication, "tables_above", lambda _: (ABOVE,))
    monkeypatch.setattr(publication, "published_tables", lambda: (ABOVE,))
    monkeypatch.setattr(publication, "publish", watched)
    return publication.publication()


def test_what_is_up_is_not_published_again_and_the_run_says_so(
    step: Step, publishing: dg.Definitions
) -> None:
    first = step.run(publishing)
    up = status(step.paths)
    second = step.run(publishing)

    assert step.done == 1
    assert status(step.paths).folder == up.folder
    confirmed = step.ledger.rows("SELECT run_id, folder FROM publication ORDER BY published_at")
    assert [row["run_id"] for row in confirmed] == [first.run_id, second.run_id]
    assert len({row["folder"] for row in confirmed}) == 1
    assert status(step.paths).published == up.published


def _other_warning(step: Step) -> None:
    step.judge_above("late")


def _trained(step: Step) -> None:
    step.warehouse.replace(METRICS_TABLE, pa.table({"task": ["churn"], "auc": [0.8]}))


def _folder_gone(step: Step) -> None:
    (step.paths.serving / "current").unlink()


@pytest.mark.parametrize("change", [Step.write_above, _other_warning, _trained, _folder_gone])
def test_it_is_published_after(
    step: Step, publishing: dg.Definitions, change: Callable[[Step], None]
) -> None:
    step.run(publishing)
    change(step)
    step.run(publishing)

    assert step.done == 2
    assert (step.paths.serving / "current" / "siyu.duckdb").is_file()
