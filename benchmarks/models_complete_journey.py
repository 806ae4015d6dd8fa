"""How well the 30-day repurchase model of The Complete Journey orders customers.

``SIYU_DATA=… python -m benchmarks models_complete_journey``: the whole job, as of 2017-12-31, tested
on the cut at the end of 2017-12-01.
"""

from __future__ import annotations

import sys

from benchmarks._model_quality import benchmark_model


def main() -> bool:
    """Run the job and compare with recency and frequency alone.

    Returns:
        Whether the model is better than both.
    """
    return benchmark_model("models_complete_journey", "complete_journey", "completejourney")


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
