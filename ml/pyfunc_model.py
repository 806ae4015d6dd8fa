"""The model as MLflow loads it: features in, calibrated probabilities out.

MLflow copies this file into every model it keeps and runs it there ("models from code"); nothing
imports it. What belongs here: the adapter from a data frame to ``ml.predictor``. What does not: any
arithmetic.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from ml.predictor import Floats, load


class CalibratedModel(PythonModel):  # type: ignore[misc]  # MLflow's types are not read
    """Predicts the probability of the task's event."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the model's files."""
        self._predictor = load(Path(context.artifacts["model"]))

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 - MLflow hands it over
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002 - so does it these
    ) -> Floats:
        """Calibrated probability of each row."""
        matrix = model_input[list(self._predictor.features)].to_numpy(dtype=np.float64)
        return self._predictor.calibrated(matrix)


set_model(CalibratedModel())
