"""Where a training came from, as tags.

What belongs here: hashes and commits of what went in. What does not: writing them to MLflow
(``ml.registry``).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from datetime import date

from ml.dataset import Dataset
from ml.snapshots import SnapshotPlan
from ml.tasks import Task
from siyu.config import REPO

UNKNOWN = "unknown"


def git_sha() -> str:
    """Commit of the code, ``+dirty`` where it has changes, or ``unknown`` outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return UNKNOWN

    def said(*arguments: str) -> str | None:
        # The arguments are our own and no shell is involved.
        done = subprocess.run(
            [git, "-C", str(REPO), *arguments], capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else None

    commit = said("rev-parse", "HEAD")
    if not commit:
        return UNKNOWN
    return f"{commit}+dirty" if said("status", "--porcelain", "--untracked-files=no") else commit


def dbt_manifest_sha() -> str:
    """SHA-256 of what dbt's manifest holds of our own: models and macros, not when it was parsed."""
    from siyu.transform import ensure_manifest

    manifest = json.loads(ensure_manifest().read_text("utf-8"))
    models = {name: node["checksum"]["checksum"] for name, node in manifest["nodes"].items()}
    macros = {
        name: macro["macro_sql"]
        for name, macro in manifest["macros"].items()
        if macro["package_name"] == manifest["metadata"]["project_name"]
    }
    return hashlib.sha256(json.dumps([models, macros], sort_keys=True).encode()).hexdigest()


def training_tags(
    task: Task, plan: SnapshotPlan, as_of: date, dataset: Dataset, run_id: str
) -> dict[str, str]:
    """Facts that every run of one training shares.

    Args:
        task: What is predicted.
        plan: The cuts.
        as_of: Day of the training.
        dataset: Every row that was read.
        run_id: The Dagster run, or whoever else trains.
    """
    return {
        **task_tags(task),
        "as_of": as_of.isoformat(),
        "as_of_range": f"{plan.fit[0]}..{plan.fit[-1]}",
        "test_as_of": plan.test.isoformat(),
        "git_sha": git_sha(),
        "dbt_manifest_sha": dbt_manifest_sha(),
        "data_sha256": dataset.sha256(),
        "dagster_run_id": run_id,
    }


def task_tags(task: Task) -> dict[str, str]:
    """What a model must have been trained for to serve this task."""
    settings = task.settings
    return {
        "retailer": task.retailer,
        "task": task.name,
        "horizon_days": str(settings.horizon_days),
        "lead_days": str(settings.lead_days),
        "active_days": str(settings.active_days),
    }
