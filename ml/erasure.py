"""Models that learned from somebody who was erased: which they are, and a tag that says so.

A model holds numbers about nobody. Whether it is to be trained again is for a person to decide.

What belongs here: finding and tagging them. What does not: erasing (``siyu.privacy``).
"""

from __future__ import annotations

import os
from datetime import date

from ml.registry import Registry, as_of_of
from siyu.paths import Paths

AFFECTED = "erasure_affected"


def flag_models(paths: Paths, since: date, request_id: str) -> list[str]:
    """Tag every registered version of a retailer that was trained as of a day or later.

    Args:
        paths: The retailer's places.
        since: The day on which the person was first known.
        request_id: The request, for the tag.

    Returns:
        ``name/version`` of each.
    """
    # MLflow makes its database when it is asked for one.
    if not (paths.mlflow / "mlflow.db").exists() and not os.environ.get("MLFLOW_TRACKING_URI"):
        return []
    registry = Registry(paths)
    affected = [
        model for model in registry.all_versions(paths.retailer) if as_of_of(model) >= since
    ]
    for model in affected:
        known = model.tags.get(AFFECTED, "").split()
        registry.tag(model, AFFECTED, " ".join(dict.fromkeys((*known, request_id))))
    return [f"{model.name}/{model.version}" for model in affected]
