"""How well the 90-day repurchase model of UCI Online Retail orders customers.

``SIYU_DATA=… python -m benchmarks models_uci``: the whole job, as of 2011-12-08, tested on the cut at
the end of 2011-09-09.
"""

from __future__ import annotations

import sys

from benchmarks._model_quality import benchmark_model


def main() -> bool:
    """Run the job and compare with recency and frequency alone.

    Returns:
        Whether the model is better than both.
    """
    return benchmark_model("models_uci", "uci_online_retail", "uci_online_retail")


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
