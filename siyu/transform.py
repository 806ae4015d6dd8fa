"""Runs the dbt project in this process, and writes the parts of it that follow from the contracts.

What belongs here: the variables that a run gives dbt, one call of dbt with readable results, and
the generated files of ``dbt_project``. What does not: SQL (``dbt_project``), which layer runs when
(``orchestration``), or Spark's session (``siyu.spark``). dbt is imported inside functions: it takes
a second, and definitions load without it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

import yaml
from filelock import FileLock

from siyu.config import REPO, Engine, Settings
from siyu.contracts import Contract, contracts
from siyu.lake import Lake
from siyu.paths import Paths
from siyu.redaction import explained_text
from siyu.retailer import Retailer
from siyu.warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbt.contracts.graph.manifest import Manifest

PROJECT = REPO / "dbt_project"
MANIFEST = PROJECT / "target" / "manifest.json"

_SOURCE_FOLDERS = ("models", "macros", "tests", "seeds")
_PARTIAL_PARSE = "partial_parse.msgpack"
# dbt's record of a call as JSON: two seconds to write, and nobody reads it. What the nodes did is in
# the ledger, and definitions load the manifest that ``ensure_manifest`` writes.
_UNWRITTEN = ("--no-write-json",)
_EXAMPLES = 5
# Of these dbt says itself how it went, in counts; of any other the engine does.
_TOLD_BY_DBT = ("success", "pass", "warn", "fail", "skipped")


class DbtError(Exception):
    """dbt could not run at all; the message says why. A failed test is a result, not an error."""


@dataclass(frozen=True)
class NodeResult:
    """What dbt says of one model or test.

    Attributes:
        unique_id: dbt's name, such as ``model.siyu.fct_order``.
        name: The model's or test's own name.
        kind: ``model`` or ``test``.
        status: ``success``, ``pass``, ``warn``, ``fail``, ``error`` or ``skipped``.
        seconds: Wall time.
        failures: Rows that broke a test.
        severity: ``ERROR`` or ``WARN`` of a test; empty for a model.
        table: ``schema.table`` of the model, or of the model that a test judges.
        message: dbt's sentence; of an error, what may be told of it.
        example_keys: Up to five keys of rows that broke a test.
    """

    unique_id: str
    name: str
    kind: str
    status: str
    seconds: float
    failures: int | None
    severity: str
    table: str
    message: str
    example_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class DbtRun:
    """What one call of dbt did."""

    success: bool
    results: tuple[NodeResult, ...]

    @property
    def models(self) -> tuple[NodeResult, ...]:
        """Results of models."""
        return tuple(result for result in self.results if result.kind == "model")

    @property
    def tests(self) -> tuple[NodeResult, ...]:
        """Results of tests."""
        return tuple(result for result in self.results if result.kind == "test")


def end_of_day(day: date, timezone: str) -> datetime:
    """The first UTC instant after a local day, without a zone."""
    following = datetime.combine(day + timedelta(days=1), time.min, ZoneInfo(timezone))
    return following.astimezone(UTC).replace(tzinfo=None)


def dbt_vars(
    retailer: Retailer,
    as_of: date,
    feature_dates: Sequence[date] = (),
    run_id: str = "none",
    anew: bool = False,
) -> dict[str, Any]:
    """The variables that dbt's models read.

    Args:
        retailer: Whose data.
        as_of: Local day to work as of.
        feature_dates: Local days to build features for.
        run_id: The run, for the record.
        anew: Whether tables that are kept batch by batch are built whole, from all of the lake.

    Returns:
        Plain JSON values, by the names that ``dbt_project.yml`` lists.
    """

    def moment(day: date) -> dict[str, str]:
        end = end_of_day(day, retailer.timezone)
        return {"as_of_date": day.isoformat(), "as_of": end.isoformat(sep=" ")}

    return {
        **moment(as_of),
        "feature_dates": [moment(day) for day in sorted(set(feature_dates))],
        "history_from": retailer.history_from.isoformat(),
        "timezone": retailer.timezone,
        "currency": retailer.currency,
        "identifier_types": {name: ns.type for name, ns in retailer.identifiers.items()},
        "models": {name: task.model_dump(mode="json") for name, task in retailer.models.items()},
        "min_sync_rate": retailer.threshold("min_sync_rate"),
        "run_id": run_id,
        "anew": anew,
        "code": _code(retailer),
    }


def _code(retailer: Retailer) -> str:
    """Hash of what the tables follow from besides the data: the SQL, and what it says of a retailer.

    An incremental table that another code built is built anew.
    """
    said = {
        "sql": _sql_sha256(_newest_source()),
        "entities": sorted(retailer.mappings),
        "identifiers": {name: ns.type for name, ns in retailer.identifiers.items()},
        "timezone": retailer.timezone,
        "currency": retailer.currency,
        "tasks": {name: task.model_dump(mode="json") for name, task in retailer.models.items()},
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


@cache
def _sql_sha256(_newest: float) -> str:
    """Hash of every file that the project is made of."""
    content = hashlib.sha256()
    for file in _sources():
        content.update(file.read_bytes())
    return content.hexdigest()


def register_lake(settings: Settings, retailer: Retailer) -> None:
    """Make schema ``lake`` show the lake as it is now, on the engine that dbt will run on.

    Call it before staging is built, with the writer's lock held, and again before unified, for the
    identity map. Staging is made of views on DuckDB: what is registered is what they show.
    """
    if settings.engine == "spark":
        from siyu import spark

        spark.register_lake(Paths.of(settings), retailer)
        return
    with Warehouse.of(settings).connect(read_only=False) as connection:
        Lake(Paths.of(settings)).register(connection, retailer)


def drop_warehouse(settings: Settings) -> None:
    """Remove every table of the engine that dbt will run on; the lake and identity stay."""
    if settings.engine == "spark":
        from siyu import spark

        # Its catalogue would go on to speak of tables that are gone.
        spark.stop()
    Warehouse.of(settings).drop()


def run_dbt(
    settings: Settings,
    args: Sequence[str],
    variables: Mapping[str, Any],
    on_event: Callable[[dict[str, Any]], None] | None = None,
) -> DbtRun:
    """Run one dbt command in this process, such as ``["build", "--select", "tag:staging"]``.

    The caller holds the writer's lock and has registered the lake; no connection to the warehouse
    may be open in this process. On return dbt's own are closed.

    Args:
        settings: Where and with which engine.
        args: dbt's command and its options.
        variables: What ``dbt_vars`` gives.
        on_event: Called with ``{name, unique_id, status}`` as each node starts and ends.

    Raises:
        DbtError: dbt could not run: the project does not parse, or the warehouse cannot be opened.
    """
    from dbt.cli.main import dbtRunner

    paths = Paths.of(settings)
    paths.warehouse.parent.mkdir(parents=True, exist_ok=True)
    target = paths.dbt / settings.engine
    # dbt writes compiled SQL into what it runs; the parsed project must stay as it was read.
    parsed = _parsed(settings.engine, target)
    manifest: Manifest = parsed.deepcopy()  # type: ignore[no-untyped-call]  # so in dbt itself
    places = _places(settings.engine, target, paths.dbt / "logs")
    with _engine(settings, paths):
        callbacks = [_listener(on_event)] if on_event else []
        given = {
            **variables,
            "entities_with_versions": _entities_with_versions(settings),
            "spark_warehouse": str(paths.spark_warehouse),
        }
        said = dbtRunner(manifest=manifest, callbacks=callbacks).invoke(
            [*args, *places, *_UNWRITTEN, "--vars", json.dumps(given)]
        )
    if said.exception is not None:
        raise DbtError(f"dbt {' '.join(args)}: {said.exception}") from said.exception
    results = []
    for result in getattr(said.result, "results", ()):
        found = _result(result, manifest)
        if found.kind == "test" and found.status in ("fail", "warn"):
            examples = _examples(settings, result.node, manifest)
            found = replace(found, example_keys=examples)
        results.append(found)
    return DbtRun(bool(said.success), tuple(results))


def ensure_manifest() -> Path:
    """The manifest that definitions load; parsed first when missing or older than its sources.

    Needs no warehouse, lake or environment.

    Raises:
        DbtError: the project does not parse.
    """
    if not _manifest_is_current():
        MANIFEST.parent.mkdir(parents=True, exist_ok=True)
        # A run and the UI, or tests side by side, may find the same; one parses, the others wait.
        with FileLock(MANIFEST.with_suffix(".lock")):
            if not _manifest_is_current():
                _write_manifest()
    return MANIFEST


def _manifest_is_current() -> bool:
    return MANIFEST.exists() and MANIFEST.stat().st_mtime >= _newest_source()


def _write_manifest() -> None:
    """Parse beside the manifest, then put it in place whole: dbt writes it piece by piece."""
    from dbt.cli.main import dbtRunner

    parse = _parse_folder()
    said = dbtRunner().invoke(["parse", *_places("duckdb", parse, parse)])
    if said.exception is not None or not said.success:
        raise DbtError(f"{PROJECT}: {said.exception}") from said.exception
    partial = MANIFEST.with_suffix(".partial")
    shutil.copyfile(parse / MANIFEST.name, partial)
    partial.replace(MANIFEST)


def _parse_folder() -> Path:
    """Where dbt parses for definitions, and keeps its partial parse."""
    return MANIFEST.parent / "parse"


def _newest_source() -> float:
    return max(file.stat().st_mtime for file in _sources())


def _sources() -> list[Path]:
    """Files that the project is made of, in order of name."""
    files = [PROJECT / "dbt_project.yml", PROJECT / "profiles.yml"]
    for folder in _SOURCE_FOLDERS:
        files += [path for path in (PROJECT / folder).rglob("*") if path.is_file()]
    return sorted(files)


def _places(engine: str, target: Path, logs: Path) -> list[str]:
    """Options that say which engine and where dbt writes, and that keep it quiet."""
    return [
        "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target", engine,
        "--target-path", str(target), "--log-path", str(logs),
        "--log-level", "none", "--no-print", "--no-send-anonymous-usage-stats",
    ]  # fmt: skip


# Reading the project takes half a second even when nothing changed, and a run asks four times.
_manifests: dict[tuple[Engine, float], Manifest] = {}


def _parsed(engine: Engine, target: Path) -> Manifest:
    """The project as dbt understands it, without a run's variables or warehouse.

    dbt throws its partial parse away whenever a variable or the profile changes, and run by run they
    do. No model needs them to be understood, so the project is parsed without and run with them. A
    target folder that is new or behind starts from the parse that definitions were loaded from.

    Args:
        engine: The engine to parse for.
        target: Where dbt keeps its partial parse.
    """
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest

    state = (engine, _newest_source())
    if state not in _manifests:
        target.mkdir(parents=True, exist_ok=True)
        made, kept = (folder / _PARTIAL_PARSE for folder in (_parse_folder(), target))
        if engine == "duckdb" and made.exists() and _written(made) > _written(kept):
            shutil.copyfile(made, kept)
        said = dbtRunner().invoke(["parse", *_places(engine, target, target), *_UNWRITTEN])
        if not isinstance(said.result, Manifest):
            raise DbtError(f"{PROJECT}: {said.exception}") from said.exception
        _manifests[state] = said.result
    return _manifests[state]


def _written(file: Path) -> float:
    return file.stat().st_mtime if file.exists() else 0.0


@contextmanager
def _engine(settings: Settings, paths: Paths) -> Iterator[None]:
    """Have the engine ready for dbt, and let go of it afterwards."""
    if settings.engine == "spark":
        from siyu import spark

        spark.session(paths)
        yield
        spark.keep_columns(paths)
        return
    before = os.environ.get("SIYU_WAREHOUSE_FILE")
    os.environ["SIYU_WAREHOUSE_FILE"] = str(paths.warehouse)
    try:
        yield
    finally:
        _close_duckdb()
        if before is None:
            del os.environ["SIYU_WAREHOUSE_FILE"]
        else:
            os.environ["SIYU_WAREHOUSE_FILE"] = before


def _close_duckdb() -> None:
    """dbt's adapter keeps the file, and with it the lock, until told otherwise."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.adapters.factory import reset_adapters

    # Neither function is typed.
    for close in cast(
        "list[Callable[[], None]]", [DuckDBConnectionManager.close_all_connections, reset_adapters]
    ):
        close()


def _listener(on_event: Callable[[dict[str, Any]], None]) -> Callable[[Any], None]:
    def listen(event: Any) -> None:
        if event.info.name in ("NodeStart", "NodeFinished"):
            node = event.data.node_info
            on_event(
                {
                    "name": event.info.name,
                    "unique_id": node.unique_id,
                    "status": node.node_status,
                }
            )

    return listen


def _result(result: Any, manifest: Manifest) -> NodeResult:
    node = result.node
    is_test = node.resource_type == "test"
    model = _judged(node, manifest) if is_test else node
    status, message = str(result.status), str(result.message or "")
    return NodeResult(
        unique_id=node.unique_id,
        name=node.name,
        kind=str(node.resource_type),
        status=status,
        seconds=float(result.execution_time),
        failures=result.failures,
        severity=str(node.config.severity).upper() if is_test else "",
        table=f"{model.schema}.{model.name}" if model else "",
        message=message if status in _TOLD_BY_DBT else explained_text(message),
    )


def _judged(test: Any, manifest: Manifest) -> Any:
    """The model that a test is about: the one it stands on, else the first that it reads."""
    names = [getattr(test, "attached_node", None), *test.depends_on.nodes]
    return next((manifest.nodes[name] for name in names if name in manifest.nodes), None)


def _examples(settings: Settings, test: Any, manifest: Manifest) -> tuple[str, ...]:
    """Keys of a few rows that broke a test, found by running the test's own query again.

    Only the model's key columns are shown, or the few columns of a test that counts or compares.
    The warehouse holds no direct identifier, and free text is never a key.
    """
    query = f"SELECT * FROM ({test.compiled_code}) AS broken LIMIT {_EXAMPLES}"
    rows = _rows(settings, query)
    model = _judged(test, manifest)
    keys = _keys(model.unique_id, manifest) if model else []
    wide = 4
    shown = [
        {name: row[name] for name in keys if name in row} or (row if len(row) <= wide else {})
        for row in rows
    ]
    return tuple(
        ", ".join(f"{name}={value}" for name, value in row.items()) for row in shown if row
    )


def _keys(model: str, manifest: Manifest) -> list[str]:
    """Columns that a test says are unique in a model, or by which it takes the place of rows."""
    for node in manifest.nodes.values():
        said = getattr(node, "test_metadata", None)
        if said is not None and getattr(node, "attached_node", None) == model:
            if said.name == "unique_key":
                return list(said.kwargs["columns"])
            if said.name == "unique":
                return [str(said.kwargs["column_name"])]
    named = getattr(manifest.nodes[model].config, "unique_key", None) or []
    return [named] if isinstance(named, str) else list(named)


def _entities_with_versions(settings: Settings) -> list[str]:
    """Entities of which the registered lake may hold rows that a later version replaced.

    A manifest knows what its own input held before, so one key from two inputs is not seen there.

    Raises:
        DbtError: the lake has not been registered.
    """
    query = (
        "SELECT entity FROM lake.batch GROUP BY entity "
        "HAVING sum(superseding) > 0 OR count(DISTINCT source) > 1 ORDER BY 1"
    )
    try:
        return [str(row["entity"]) for row in _rows(settings, query)]
    except Exception as error:
        raise DbtError(
            f"{settings.retailer}: schema lake cannot be read; register the lake before dbt runs: "
            f"{error}"
        ) from error


def _rows(settings: Settings, query: str) -> list[dict[str, Any]]:
    if settings.engine == "spark":
        from siyu.spark import session

        found = session(Paths.of(settings)).sql(query).collect()
        return [row.asDict() for row in found]
    rows: list[dict[str, Any]] = Warehouse.of(settings).read(query).to_pylist()
    return rows


_HEADER = "# Generated from siyu/contracts by `siyu generate`; edit the contracts.\n"

_LAKE_TABLES: dict[str, tuple[str, str, dict[str, tuple[str, str, str]]]] = {
    "customer_identifier": (
        "Which customer each identifier belongs to, as identity resolution last decided.",
        "客户标识映射",
        {
            "identifier": ("VARCHAR", "Identifier, as namespace:value", "标识"),
            "namespace": ("VARCHAR", "Namespace of the identifier", "命名空间"),
            "customer_id": ("VARCHAR", "Customer; empty for junk", "客户编号"),
            "is_junk": ("BOOLEAN", "Whether the identifier stands for nobody", "是否无效标识"),
            "known_at": ("TIMESTAMP", "When it was first known (UTC)", "首次可知时间（UTC）"),
            "updated_run_id": ("VARCHAR", "Run that last changed the row", "最近更新的运行"),
        },
    ),
    "customer_identifier_past": (
        "Which customers identifiers belonged to before they came to the one they belong to.",
        "客户标识以往的归属",
        {
            "identifier": ("VARCHAR", "Identifier, as namespace:value", "标识"),
            "namespace": ("VARCHAR", "Namespace of the identifier", "命名空间"),
            "customer_id": ("VARCHAR", "Customer it was known to belong to", "当时的客户编号"),
            "effective_from": ("TIMESTAMP", "Since when it did (UTC)", "生效时间（UTC）"),
            "effective_to": ("TIMESTAMP", "Until when, exclusive (UTC)", "失效时间（UTC，不含）"),
            "recorded_from": ("TIMESTAMP", "Since when that was known (UTC)", "可知时间（UTC）"),
            "recorded_to": (
                "TIMESTAMP",
                "Until when, exclusive: from then on another customer was known (UTC)",
                "可知截止时间（UTC，不含）",
            ),
        },
    ),
    "identity_event": (
        "What happened to customers: created, merged, split, linked or kept apart by hand.",
        "客户身份事件",
        {
            "event_id": ("VARCHAR", "Event id", "事件编号"),
            "event_type": ("VARCHAR", "What happened", "事件类型"),
            "customer_id": ("VARCHAR", "Customer it happened to", "客户编号"),
            "other_customer_id": ("VARCHAR", "The other customer", "另一客户编号"),
            "identifier": ("VARCHAR", "Identifier that it is about", "相关标识"),
            "other_identifier": (
                "VARCHAR",
                "The other one of a manual rule",
                "另一标识（人工规则）",
            ),
            "rule_id": ("VARCHAR", "Rule that caused it", "相关规则"),
            "occurred_at": ("TIMESTAMP", "When (UTC)", "时间（UTC）"),
            "run_id": ("VARCHAR", "Run that decided it", "运行编号"),
        },
    ),
    "identity_refused_edge": (
        "Edges that identity resolution refused when it last decided, and why.",
        "被拒绝的标识关联",
        {
            "identifier_a": ("VARCHAR", "The smaller identifier of the pair", "标识 A"),
            "identifier_b": ("VARCHAR", "The larger identifier of the pair", "标识 B"),
            "rule_id": ("VARCHAR", "Rule that would link them", "规则"),
            "priority": ("BIGINT", "How far to believe the rule", "优先级"),
            "evidence_count": ("BIGINT", "Rows that show the pair", "证据行数"),
            "first_seen_at": ("TIMESTAMP", "First seen (UTC)", "首次出现时间（UTC）"),
            "last_seen_at": ("TIMESTAMP", "Last seen (UTC)", "最近出现时间（UTC）"),
            "known_at": ("TIMESTAMP", "When it could first be known (UTC)", "首次可知时间（UTC）"),
            "reason": ("VARCHAR", "What refused it", "拒绝原因"),
            "capped_namespace": ("VARCHAR", "Namespace whose cap did", "触及上限的命名空间"),
            "customer_id_a": ("VARCHAR", "Customer of identifier_a", "标识 A 所属客户"),
            "customer_id_b": ("VARCHAR", "Customer of identifier_b", "标识 B 所属客户"),
        },
    ),
    "identity_proposal": (
        "Members whom nothing links and who are probably one person, by likeness of name, birth date "
        "and address; empty where the retailer does not ask for them.",
        "疑似同一人的会员对",
        {
            "identifier_a": ("VARCHAR", "The smaller member id of the pair", "会员 A"),
            "identifier_b": ("VARCHAR", "The larger member id of the pair", "会员 B"),
            "probability": ("DOUBLE", "Probability that they are one person, 0 to 1", "同一人概率"),
            "is_linked": ("BOOLEAN", "Whether it was taken as an edge", "是否已作为关联"),
            "known_at": ("TIMESTAMP", "When both could be known (UTC)", "双方均可知的时间（UTC）"),
        },
    ),
    "identity_quality": (
        "Figures of every decision of identity resolution.",
        "客户识别的历次决策指标",
        {
            "map_version": (
                "BIGINT",
                "Version of the map that the decision made",
                "决策产生的映射版本",
            ),
            "identifier_count": ("BIGINT", "Identifiers that stand for somebody", "有效标识数"),
            "junk_identifier_count": (
                "BIGINT",
                "Identifiers that stand for nobody, such as test numbers",
                "无效标识数",
            ),
            "customer_count": ("BIGINT", "Customers", "客户数"),
            "unlinked_customer_count": (
                "BIGINT",
                "Customers with one identifier, which nothing links to others",
                "仅有一个标识、未与其他标识关联的客户数",
            ),
            "identifiers_p50": (
                "DOUBLE",
                "Identifiers per customer, median",
                "每位客户的标识数（中位数）",
            ),
            "identifiers_p90": (
                "DOUBLE",
                "Identifiers per customer, 90th percentile",
                "每位客户的标识数（90 分位）",
            ),
            "identifiers_p99": (
                "DOUBLE",
                "Identifiers per customer, 99th percentile",
                "每位客户的标识数（99 分位）",
            ),
            "identifiers_max": (
                "BIGINT",
                "Identifiers of the largest customer",
                "标识最多的客户的标识数",
            ),
            "edge_count": (
                "BIGINT",
                "Pieces of evidence that hold customers together: pairs of identifiers, by rule",
                "客户内部的关联证据数（标识对×规则）",
            ),
            "density": (
                "DOUBLE",
                "Linked pairs of identifiers as a share of all pairs of a customer, 0 to 1; mean over customers of two identifiers or more",
                "关联密度：客户内已关联标识对占全部标识对的比例（至少两个标识的客户的平均值）",
            ),
            "bridge_edge_count": (
                "BIGINT",
                "Edges without which a customer would fall in two",
                "桥边数：去掉后客户会被拆成两部分的关联",
            ),
            "bridge_edge_share": (
                "DOUBLE",
                "Bridge edges as a share of the edges within customers, 0 to 1",
                "桥边占比",
            ),
            "refused_edge_count": (
                "BIGINT",
                "Edges that a cap or a manual rule refuses",
                "被上限或人工规则拒绝的关联数",
            ),
            "refused_edge_share": (
                "DOUBLE",
                "Refused edges as a share of all edges, 0 to 1",
                "被拒绝的关联占比",
            ),
            "customer_count_before": (
                "BIGINT",
                "Customers before the last decision",
                "上次决策前的客户数",
            ),
            "created_customer_count": (
                "BIGINT",
                "Customers that the last decision created",
                "上次决策新建的客户数",
            ),
            "merged_customer_count": (
                "BIGINT",
                "Customers that the last decision merged into others",
                "上次决策并入其他客户的客户数",
            ),
            "split_customer_count": (
                "BIGINT",
                "Customers that the last decision split",
                "上次决策拆分的客户数",
            ),
            "merge_rate": (
                "DOUBLE",
                "Customers merged into others by the last decision as a share of those before it, 0 to 1; empty when there were none",
                "合并率：上次决策中被合并的客户占此前客户的比例；此前无客户时为空",
            ),
        },
    ),
    "batch": (
        "One row per batch in force: what landed, from where, and what became of its rows.",
        "入湖批次",
        {
            "batch_id": ("VARCHAR", "Batch", "批次"),
            "entity": ("VARCHAR", "Entity it belongs to", "实体"),
            "source": ("VARCHAR", "Input it came from", "来源输入"),
            "rows_in": ("BIGINT", "Rows that the mapping yielded", "映射产生的行数"),
            "accepted": ("BIGINT", "Rows accepted", "接受行数"),
            "duplicates": ("BIGINT", "Exact repeats left out", "重复行数"),
            "quarantined": ("BIGINT", "Rows rejected", "隔离行数"),
            "suppressed": ("BIGINT", "Rows of erased subjects left out", "抑制行数"),
            "superseding": ("BIGINT", "Accepted rows whose key was known", "更新已有键的行数"),
            "loaded_at": ("TIMESTAMP", "When it landed (UTC)", "入湖时间（UTC）"),
            "complete_through": ("DATE", "Last local day it shows complete", "数据完整截止日"),
            "run_id": ("VARCHAR", "Run that landed it", "运行编号"),
            "rewritten": (
                "BIGINT",
                "Version of the lake's table at which rows were last deleted or changed where they "
                "are, or landed again; 0 when all are as they first landed",
                "行最近被原位删除、修改或重新入湖时的表版本；未改动为0",
            ),
        },
    ),
    "quarantine_summary": (
        "Rows in quarantine by batch, rule and column; a row counts under each rule it broke.",
        "隔离汇总",
        {
            "entity": ("VARCHAR", "Entity", "实体"),
            "source": ("VARCHAR", "Input", "来源输入"),
            "batch_id": ("VARCHAR", "Batch", "批次"),
            "rule": ("VARCHAR", "Rule that was broken", "规则"),
            "rows": ("BIGINT", "Rows that broke it", "行数"),
        },
    ),
}

# Entities of which staging derives rows that the source lacks; their models are written by hand.
_DERIVED = ("orders", "products", "refunds", "stores")
# Staging models whose rows reach a unified table one by one, which tests their key.
_JUDGED_LATER = (
    "campaigns", "consents", "content", "interactions", "messages", "order_lines", "points", "staff",
)  # fmt: skip


def generated() -> dict[Path, str]:
    """Files of ``dbt_project`` that follow from the contracts, with what they shall hold."""
    return {
        PROJECT / "models" / "sources.yml": sources_yaml(),
        PROJECT / "models" / "staging" / "lake" / "_lake.yml": staging_yaml(),
        PROJECT / "macros" / "lake" / "contract_keys.sql": contract_keys_sql(),
    }


def write_generated() -> list[Path]:
    """Write the generated files of ``dbt_project``; says which."""
    for file, text in generated().items():
        file.write_text(text, "utf-8")
    return list(generated())


def sources_yaml() -> str:
    """dbt's sources: the views ``lake.<entity>`` and what the lake says of itself."""
    tables = [
        {
            "name": entity,
            "description": found.en,
            "config": {"meta": {"zh": found.zh}},
            "columns": _columns(found),
        }
        for entity, found in contracts().items()
    ] + [
        {
            "name": name,
            "description": en,
            "config": {"meta": {"zh": zh}},
            "columns": [
                {"name": n, "data_type": t, "description": e, "config": {"meta": {"zh": z}}}
                for n, (t, e, z) in columns.items()
            ],
        }
        for name, (en, zh, columns) in _LAKE_TABLES.items()
    ]
    source = {
        "name": "lake",
        "schema": "lake",
        "description": "Views of the lake's Delta tables, made before dbt runs.",
        "tables": tables,
    }
    return _dump({"version": 2, "sources": [source]})


def staging_yaml() -> str:
    """Descriptions and tests of the staging models that are an entity's latest versions as such."""
    models = []
    for entity, found in contracts().items():
        if entity in _DERIVED:
            continue
        tests: list[Any] = [{"keeps_every_key": {"arguments": {"entity": entity}}}]
        if entity not in _JUDGED_LATER:
            tests.append({"unique_key": {"arguments": {"columns": list(found.key)}}})
        models.append(
            {
                "name": f"stg_{entity}",
                "description": f"Latest version of each row. {found.en}",
                "config": {"meta": {"zh": f"每行的最新版本。{found.zh}"}},
                "data_tests": tests,
                "columns": _columns(found),
            }
        )
    return _dump({"version": 2, "models": models})


def contract_keys_sql() -> str:
    """A macro that gives each entity's key and version column."""
    known = {
        entity: {"key": list(found.key), "version": found.version}
        for entity, found in contracts().items()
    }
    lines = ",\n".join(
        f"        '{entity}': {{'key': {said['key']}, 'version': {said['version']!r}}}".replace(
            "None", "none"
        )
        for entity, said in known.items()
    )
    return (
        "{#- Generated from siyu/contracts by `siyu generate`; edit the contracts. -#}\n"
        "{#- Each lake entity's key and version column. -#}\n"
        f"{{% macro contract_keys() -%}}\n    {{{{ return({{\n{lines}\n    }}) }}}}\n"
        "{%- endmacro %}\n"
    )


def _columns(found: Contract) -> list[dict[str, Any]]:
    return [
        {
            "name": column.name,
            "data_type": column.sql_type,
            "description": column.en,
            "config": {"meta": {"zh": column.zh, "pii": column.pii}},
        }
        for column in found.lake_columns
    ]


def _dump(said: Mapping[str, Any]) -> str:
    return _HEADER + yaml.safe_dump(said, allow_unicode=True, sort_keys=False, width=100)
