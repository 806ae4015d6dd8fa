"""MLflow: keeping trainings, models and which model is in use.

What belongs here: every call to MLflow, behind names of our own. What does not: deciding what is
good (``ml.promotion``). By default runs lie in SQLite and artefacts in files under the home folder;
``MLFLOW_TRACKING_URI`` overrides both. Imports of MLflow are inside functions: it takes seconds.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml import predictor as predictor_module
from ml.predictor import Predictor, load, save
from siyu.paths import Paths

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHAMPION = "champion"
CHALLENGER = "challenger"
_MODEL = "model"
# MLflow's own name for a description.
_NOTE = "mlflow.note.content"
# Read when MLflow is imported: no usage reports, no bars among the logs, and no copy of this
# project's lock file with every model, whose requirements are few and stated.
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",
}
_LOCAL_UI = "http://127.0.0.1:5000"


_SOURCE = "siyu"
_OURS_RUNNING = f"attributes.status = 'RUNNING' AND tags.`mlflow.source.name` = '{_SOURCE}'"


@dataclass(frozen=True)
class RunRecord:
    """One run of an experiment.

    Attributes:
        name: Shown in MLflow.
        metrics: Numbers by name; those that are not finite are left out.
        params: Settings by name.
        tags: Facts by name.
        note: What a person reads first, in Markdown.
        predictor: The model, where the run has one to keep.
        figures: Figures by file name.
    """

    name: str
    metrics: Mapping[str, float]
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    predictor: Predictor | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelNotes:
    """What a person reads of a registered model.

    Attributes:
        model: What it answers.
        version: How this version came about.
    """

    model: str
    version: str


@dataclass(frozen=True)
class LoggedRun:
    """A run that MLflow keeps.

    Attributes:
        run_id: Its id.
        url: Where a person looks at it.
        model_uri: The model logged with it, or None.
    """

    run_id: str
    url: str
    model_uri: str | None


@dataclass(frozen=True)
class FinishedRun:
    """What MLflow holds of a run that ended well.

    Attributes:
        metrics: Numbers by name.
        tags: Facts by name.
    """

    metrics: Mapping[str, float]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class RegisteredModel:
    """One version in the model registry.

    Attributes:
        name: Registered name.
        version: Its number.
        run_id: Run that trained it.
        tags: Facts about the version.
    """

    name: str
    version: int
    run_id: str
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        """What MLflow loads it by."""
        return f"models:/{self.name}/{self.version}"


class Registry:
    """MLflow's tracking store and model registry of one home folder."""

    def __init__(self, paths: Paths, env: Mapping[str, str] | None = None) -> None:
        env = os.environ if env is None else env
        self._folder = paths.mlflow
        self._remote = env.get("MLFLOW_TRACKING_URI") or None
        self._uri = self._remote or f"sqlite:///{self._folder / 'mlflow.db'}"

    def log_run(self, experiment: str, record: RunRecord, about: str) -> LoggedRun:
        """Keep one finished run; one that fails on the way is marked so and can be told apart.

        So is one that was killed on the way, by the next that is kept in its experiment.

        Args:
            experiment: Name of the experiment, made when missing.
            record: The run.
            about: What the experiment's runs have in common.
        """
        mlflow, client = self._open()
        experiment_id = self._experiment(client, experiment, about)
        # There is one writer, and it is here: what of ours still runs was killed.
        for left in client.search_runs([experiment_id], _OURS_RUNNING):
            client.set_terminated(left.info.run_id, status="KILLED")
        run = client.create_run(
            experiment_id,
            run_name=record.name,
            tags={**record.tags, _NOTE: record.note, "mlflow.source.name": _SOURCE},
        )
        run_id: str = run.info.run_id
        try:
            self._log(client, run_id, record)
            model_uri = None
            if record.predictor is not None:
                model_uri = _log_model(mlflow, run_id, record.predictor)
        except BaseException:
            client.set_terminated(run_id, status="FAILED")
            raise
        client.set_terminated(run_id)
        url = f"{self._ui()}/#/experiments/{run.info.experiment_id}/runs/{run_id}"
        return LoggedRun(run_id, url, model_uri)

    def register(
        self, name: str, run: LoggedRun, tags: Mapping[str, str], notes: ModelNotes
    ) -> RegisteredModel:
        """Make a run's model the challenger of that name."""
        if run.model_uri is None:
            raise ValueError(f"run {run.run_id} has no model to register as {name}")
        _, client = self._open()
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        client.update_registered_model(name, notes.model)
        made = client.create_model_version(
            name,
            source=run.model_uri,
            run_id=run.run_id,
            tags=dict(tags),
            description=notes.version,
        )
        client.set_registered_model_alias(name, CHALLENGER, made.version)
        return _registered(made, tags)

    def promote(self, model: RegisteredModel) -> None:
        """Make a version the champion; it is no challenger any more."""
        _, client = self._open()
        client.set_registered_model_alias(model.name, CHAMPION, str(model.version))
        client.delete_registered_model_alias(model.name, CHALLENGER)

    def champion(self, name: str) -> RegisteredModel | None:
        """The version in use, or None."""
        return self._by_alias(name, CHAMPION)

    def challenger(self, name: str) -> RegisteredModel | None:
        """The version registered last, unless it has become the champion, or None."""
        return self._by_alias(name, CHALLENGER)

    def newest(self, name: str) -> RegisteredModel | None:
        """The version registered last, promoted or not, or None."""
        return max(self.versions(name), key=lambda model: model.version, default=None)

    def versions(self, name: str) -> list[RegisteredModel]:
        """Every version of that name, the first one first."""
        _, client = self._open()
        found = client.search_model_versions(f"name = '{name}'")
        models = [_registered(version, version.tags) for version in found]
        return sorted(models, key=lambda model: model.version)

    def all_versions(self, retailer: str) -> list[RegisteredModel]:
        """Every version of every model that was trained for a retailer."""
        _, client = self._open()
        found = client.search_model_versions(f"tags.retailer = '{retailer}'")
        models = [_registered(version, version.tags) for version in found]
        return sorted(models, key=lambda model: (model.name, model.version))

    def tag(self, model: RegisteredModel, name: str, value: str) -> None:
        """Set a tag of a version."""
        _, client = self._open()
        client.set_model_version_tag(model.name, str(model.version), name, value)

    def runs_beside(self, model: RegisteredModel, tags: Mapping[str, str]) -> list[FinishedRun]:
        """Runs with these tags in the experiment that a version is from, the newest first."""
        _, client = self._open()
        experiment = client.get_run(model.run_id).info.experiment_id
        wanted = [f"tags.`{name}` = '{value}'" for name, value in tags.items()]
        found = client.search_runs(
            [experiment], " AND ".join(("attributes.status = 'FINISHED'", *wanted))
        )
        return [FinishedRun(dict(run.data.metrics), dict(run.data.tags)) for run in found]

    def load(self, model: RegisteredModel) -> Predictor:
        """The predictor of a version."""
        mlflow, _ = self._open()
        with tempfile.TemporaryDirectory() as folder:
            found = mlflow.artifacts.download_artifacts(
                artifact_uri=f"{model.uri}/artifacts/{_MODEL}", dst_path=folder
            )
            return load(Path(found))

    def _by_alias(self, name: str, alias: str) -> RegisteredModel | None:
        mlflow, client = self._open()
        try:
            found = client.get_model_version_by_alias(name, alias)
        except mlflow.exceptions.MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return _registered(found, found.tags)

    def _open(self) -> tuple[Any, Any]:
        """MLflow, pointed at our store, and a client of it."""
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        import mlflow

        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.WARNING)
        # It warns of every environment without pip, which is every one that uv made.
        logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
        if self._remote is None:
            self._folder.mkdir(parents=True, exist_ok=True)
        mlflow.set_tracking_uri(self._uri)
        mlflow.set_registry_uri(self._uri)
        if self._remote is None:
            # MLflow puts them there for child processes; the next Registry would take them for
            # what a person has set.
            for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
                os.environ.pop(name, None)
        return mlflow, mlflow.MlflowClient()

    def _experiment(self, client: Any, name: str, about: str) -> str:
        found = client.get_experiment_by_name(name)
        if found is not None:
            client.set_experiment_tag(found.experiment_id, _NOTE, about)
            return str(found.experiment_id)
        local = (self._folder / "artifacts").as_uri() if self._remote is None else None
        # Without its kind the UI opens an experiment on pages for language models.
        kind = {"mlflow.experimentKind": "custom_model_development", _NOTE: about}
        return str(client.create_experiment(name, artifact_location=local, tags=kind))

    def _log(self, client: Any, run_id: str, record: RunRecord) -> None:
        from mlflow.entities import Metric, Param

        finite = {name: value for name, value in record.metrics.items() if value == value}
        client.log_batch(
            run_id,
            metrics=[Metric(name, value, 0, 0) for name, value in finite.items()],
            params=[Param(name, str(value)) for name, value in record.params.items()],
        )
        for file, figure in record.figures.items():
            client.log_figure(run_id, figure, f"plots/{file}")

    def _ui(self) -> str:
        remote = self._remote or ""
        return remote.rstrip("/") if remote.startswith("http") else _LOCAL_UI


def _log_model(mlflow: Any, run_id: str, predictor: Predictor) -> str:
    """Log a predictor as a model that stands on its own; returns its URI."""
    with (
        _model_files(predictor) as folder,
        mlflow.start_run(run_id=run_id),
        warnings.catch_warnings(),
    ):
        # An example would be a customer.
        warnings.filterwarnings("ignore", message=".*input example was not provided")
        logged = mlflow.pyfunc.log_model(
            name=_MODEL,
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            artifacts={_MODEL: str(folder / _MODEL)},
            code_paths=[str(folder / "ml")],
            signature=_signature(predictor),
            pip_requirements=_requirements(),
        )
    return str(logged.model_uri)


@contextmanager
def _model_files(predictor: Predictor) -> Iterator[Path]:
    """A folder with the model's files and the code they need."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / _MODEL).mkdir()
        save(predictor, folder / _MODEL)
        (folder / "ml").mkdir()
        (folder / "ml" / "__init__.py").touch()
        shutil.copy(str(predictor_module.__file__), folder / "ml" / "predictor.py")
        yield folder


def _signature(predictor: Predictor) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    return ModelSignature(
        inputs=Schema([ColSpec("double", name) for name in predictor.features]),
        outputs=Schema([ColSpec("double")]),
    )


def _requirements() -> list[str]:
    """What loading needs, at the versions that trained it."""
    from importlib.metadata import version

    names = ("mlflow", "numpy", "pandas", "xgboost-cpu")
    return [f"{name}=={version(name)}" for name in names]


def _registered(version: Any, tags: Mapping[str, str]) -> RegisteredModel:
    return RegisteredModel(version.name, int(version.version), str(version.run_id), dict(tags))


def as_of_of(model: RegisteredModel) -> date:
    """The day a version was trained as of."""
    return date.fromisoformat(model.tags["as_of"])
