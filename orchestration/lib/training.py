"""When a model is trained: what a run's tag asks for, else what the retailer's settings say."""

from __future__ import annotations

from datetime import date
from typing import Literal

import dagster as dg

from orchestration.resources import Workspace
from siyu.retailer import Retailer

TaskName = Literal["churn", "repurchase"]
TASKS: tuple[TaskName, ...] = ("churn", "repurchase")

TRAINING_TAG = "siyu/training"
ALWAYS = {TRAINING_TAG: "always"}


def model_key(task: TaskName) -> dg.AssetKey:
    """Key of a task's model asset."""
    return dg.AssetKey(["models", task])


def configured_tasks(retailer: Retailer) -> tuple[TaskName, ...]:
    """Tasks that the retailer has settings for."""
    return tuple(name for name in TASKS if name in retailer.models)


def is_due(
    context: dg.AssetExecutionContext, workspace: Workspace, task: TaskName, as_of: date
) -> tuple[bool, str]:
    """Whether this run trains a task, and why."""
    if context.run.tags.get(TRAINING_TAG) == ALWAYS[TRAINING_TAG]:
        return True, "the job trains every time"
    from ml.steps import training_due

    return training_due(workspace.settings, workspace.retailer, task, as_of)
