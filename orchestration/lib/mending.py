"""Days that an earlier run left unfit, for the next one to make again.

Features and scores are kept by as-of day, and whatever day of them failed its gates, or was not written
to its end, stops the publication. Nothing else would come back to a day that has passed.

What belongs here: which days these are. What does not: what makes a day unfit (``siyu.ops``).
"""

from __future__ import annotations

from datetime import date

import dagster as dg

from expectations.suites.features import CUSTOMER_FEATURES
from expectations.suites.scores import SCORES
from orchestration.lib.gates import asset_key
from orchestration.resources import Workspace

_BY_DAY = (CUSTOMER_FEATURES, SCORES)


def days_to_mend(context: dg.AssetExecutionContext, workspace: Workspace) -> list[date]:
    """Days before the run's own that block, in a run that makes both features and scores.

    Later days wait for a run as of one that is later still.
    """
    selected = context.job_def.asset_layer.selected_asset_keys
    if not {asset_key(table) for table in _BY_DAY} <= selected:
        return []
    asked = workspace.days(context)
    blocked = workspace.ledger.days_blocked(_BY_DAY)
    return [day for day in blocked if day < asked[-1] and day not in asked]
