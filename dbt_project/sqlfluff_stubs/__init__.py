"""What dbt gives a template and the SQL linter does not: just enough to render every model.

What belongs here: stand-ins for dbt's own context. What does not: the project's macros, which the
linter loads from ``dbt_project/macros`` as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

_PROJECT = Path(__file__).resolve().parent.parent / "dbt_project.yml"
_VARIABLES: dict[str, Any] = yaml.safe_load(_PROJECT.read_text("utf-8"))["vars"] | {
    "feature_dates": [{"as_of_date": "1970-01-01", "as_of": "1970-01-02 00:00:00"}],
    "models": {
        "churn": {"horizon_days": 60, "lead_days": 0, "active_days": None},
        "repurchase": {"horizon_days": 30, "lead_days": 0, "active_days": None},
    },
}

execute = False

# The linter reads incremental models as they take in one batch of one entity with versions.
model: dict[str, Any] = {
    "name": "model",
    "config": {"materialized": "incremental", "meta": {"reads": ["orders"]}},
    "intake": {
        "start_over": None,
        "batches": ["b"],
        "entities": ["orders"],
        "since": "1970-01-01 00:00:00",
        "changes": [],
    },
}


def var(name: str, default: Any = None) -> Any:
    """The variable's value in ``dbt_project.yml``."""
    return _VARIABLES.get(name, default)


class _Adapter:
    """Renders a dispatched macro as a call, which every dialect can parse."""

    def dispatch(self, name: str, *_: str) -> Callable[..., str]:
        """Stand in for the engine's own implementation."""
        if name == "every_day":
            return lambda *_: "select current_date as date_day"
        return lambda *arguments: f"{name}({', '.join(map(str, arguments))})"


adapter = _Adapter()


class _Target:
    """The target the linter pretends to build for."""

    type = "duckdb"


target = _Target()
