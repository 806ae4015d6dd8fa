"""One asset per prediction task: its champion in MLflow's registry."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.environment import MODEL_OWNERS
from orchestration.lib.gates import require_passed
from orchestration.lib.training import TASKS, TaskName, configured_tasks, is_due, model_key
from orchestration.lib.upstream import tables_above
from orchestration.resources import Workspace

if TYPE_CHECKING:
    from ml.steps import TrainingOutcome

_SHOWN = ("auc", "pr_auc", "log_loss", "brier", "ece")
READS = ("features.customer_features", "features.customer_labels")

_SAID: dict[TaskName, str] = {
    "churn": (
        "Who will stop buying: P(no purchase in the horizon) for active customers. Trains when due "
        "and moves the champion alias only when the challenger wins on the frozen test cut."
        "\n\n流失模型：预测活跃客户在窗口期内不再购买的概率。"
    ),
    "repurchase": (
        "Who will buy again: P(a purchase in the horizon). Trains when due and moves the champion "
        "alias only when the challenger wins on the frozen test cut."
        "\n\n复购模型：预测客户在窗口期内再次购买的概率。"
    ),
}


def _task_asset(name: TaskName) -> dg.AssetsDefinition:
    above = tables_above("models")

    @dg.asset(
        key=model_key(name),
        deps=[
            dg.AssetDep(dg.AssetKey(table.split(".")), partition_mapping=dg.AllPartitionMapping())
            for table in READS
        ],
        group_name="models",
        owners=MODEL_OWNERS,
        kinds={"xgboost", "mlflow"},
        description=_SAID[name],
    )
    def model(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[Any]:
        if name not in configured_tasks(workspace.retailer):
            return dg.MaterializeResult(metadata={"trained": False, "reason": "not configured"})
        as_of = workspace.as_of(context)
        from ml.steps import show_metrics, train

        due, reason = is_due(context, workspace, name, as_of)
        if not due:
            # A warehouse made anew, or a training killed as it ended, lacks what was measured.
            show_metrics(workspace.settings, workspace.retailer, name)
            return dg.MaterializeResult(metadata={"trained": False, "reason": reason})
        require_passed(workspace, (*above, *READS))
        outcome = train(workspace.settings, workspace.retailer, name, as_of, context.run.run_id)
        show_metrics(workspace.settings, workspace.retailer, name)
        return dg.MaterializeResult(metadata=_metadata(outcome))

    return model


def _metadata(outcome: "TrainingOutcome") -> dict[str, Any]:
    """What a person asks of a training: did it win, against what, and where to look."""
    return {
        "trained": bool(outcome.metrics),
        "promoted": outcome.promoted,
        "reason": outcome.reason,
        **({"test_cut": outcome.plan.test.isoformat()} if outcome.plan else {}),
        **({"model": outcome.model_uri} if outcome.model_uri else {}),
        **({"mlflow_run": dg.MetadataValue.url(outcome.run_url)} if outcome.run_url else {}),
        **_headline(outcome),
        **({"metrics": dg.MetadataValue.md(_markdown(outcome.metrics))} if outcome.metrics else {}),
    }


def _markdown(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """The models side by side; a ranking has no probability to measure."""
    lines = [
        "| model | " + " | ".join(_SHOWN) + " |",
        "|---|" + "---:|" * len(_SHOWN),
    ]
    for model, found in metrics.items():
        cells = (f"{found[name]:.4f}" if name in found else "–" for name in _SHOWN)
        lines.append(f"| {model} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _headline(outcome: "TrainingOutcome") -> dict[str, float]:
    metrics = outcome.metrics.get(outcome.kind or "", {})
    return {name: metrics[name] for name in ("auc", "log_loss") if name in metrics}


@dg.definitions
def training() -> dg.Definitions:
    """A model asset per task."""
    return dg.Definitions(assets=[_task_asset(name) for name in TASKS])
