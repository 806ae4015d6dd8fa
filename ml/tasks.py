"""The prediction tasks and what their probability means.

What belongs here: what differs between churn and repurchase. What does not: horizons and
populations, which a retailer decides (``siyu.retailer.ModelSettings``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from siyu.retailer import ModelSettings, Retailer

TaskName = Literal["churn", "repurchase"]

# Shares of customers expected to be lost from which a customer counts as at risk.
HIGH_RISK = 0.6
MEDIUM_RISK = 0.3


class TaskError(Exception):
    """A task is asked for that siyu does not know or the retailer has not configured."""


@dataclass(frozen=True)
class Task:
    """One retailer's prediction task.

    Attributes:
        name: ``churn`` (1.0 is no purchase in the window) or ``repurchase`` (1.0 is a purchase).
        retailer: Whose it is.
        settings: Horizon, lead and population.
    """

    name: TaskName
    retailer: str
    settings: ModelSettings

    @property
    def model_name(self) -> str:
        """Name of the registered model."""
        return f"{self.retailer}_{self.name}"

    @property
    def experiment(self) -> str:
        """Name of the MLflow experiment: one per task and horizon."""
        return f"{self.retailer}/{self.name}_h{self.settings.horizon_days}"

    @property
    def buying(self) -> bool:
        """Whether 1.0 means that the customer buys."""
        return self.name == "repurchase"

    @property
    def question(self) -> str:
        """What a probability of this task means, in a sentence."""
        settings = self.settings
        does = "buys at least once" if self.buying else "buys nothing"
        later = f", beginning {settings.lead_days} days later" if settings.lead_days else ""
        who = (
            f", among those who bought in the {settings.active_days} days before"
            if settings.active_days
            else ""
        )
        return (
            f"Probability that a customer {does} in the {settings.horizon_days} days after the "
            f"as-of day{later}{who}."
        )

    def risk_band(self, probability: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
        """``high``, ``medium`` or ``low`` risk of not buying."""
        risk = 1 - probability if self.buying else probability
        return np.select([risk >= HIGH_RISK, risk >= MEDIUM_RISK], ["high", "medium"], "low")


def task_of(retailer: Retailer, name: str) -> Task:
    """The retailer's task of that name.

    Raises:
        TaskError: there is none.
    """
    known = cast(tuple[TaskName, ...], get_args(TaskName))
    for task in known:
        if task == name and task in retailer.models:
            return Task(task, retailer.name, retailer.models[task])
    raise TaskError(
        f"{retailer.folder / 'retailer.yaml'}: no task {name!r} under models; "
        f"configured: {', '.join(retailer.models) or 'none'}; known: {', '.join(known)}"
    )
