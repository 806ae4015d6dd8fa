"""Whether a new model may replace the one in use.

What belongs here: the rule, over predictions on one frozen test set. What does not: moving the
alias (``ml.registry``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from ml.dataset import Floats
from ml.evaluation import (
    calibration_error_by_chance,
    compare,
    expected_calibration_error,
)
from siyu.retailer import THRESHOLDS

Kind = Literal["xgboost", "logistic"]


@dataclass(frozen=True)
class Decision:
    """What the gate says.

    Attributes:
        kind: Which of the trained models goes into the registry.
        promoted: Whether it becomes the champion.
        reason: Why, in sentences for a person.
    """

    kind: Kind
    promoted: bool
    reason: str

    def noted(self, note: str) -> Decision:
        """The same decision with a remark in front of its reason."""
        return replace(self, reason=f"{note}; {self.reason}") if note else self


def decide(
    label: Floats,
    predictions: Mapping[str, Floats],
    champion: Floats | None,
    max_ece: float = THRESHOLDS["model_max_ece"],
) -> Decision:
    """Apply the gate.

    Boosted trees must beat the logistic baseline and the prior in log-loss, each with a 95 %
    interval that leaves zero out, and be calibrated within the limit. Where they do not, the
    logistic baseline is offered as a fallback; it must beat the prior in the same way. What is
    offered must then beat the champion in the same way, when there is one.

    Args:
        label: Outcomes of the frozen test set.
        predictions: Probabilities on it by model: ``prior``, ``logistic``, and ``xgboost`` where
            trees were fitted.
        champion: The champion's probabilities on the same rows, or None.
        max_ece: Largest expected calibration error; on few rows, what chance alone may make of it
            where that is more.
    """
    said = []
    for kind, references in _offers(predictions):
        fault = _fault(label, predictions, kind, references, max_ece)
        if fault:
            said.append(f"{kind} refused: {fault}")
            continue
        fallback = " (fallback)" if kind == "logistic" else ""
        said.append(f"{kind}{fallback} beats {' and '.join(references)} in log-loss")
        return _against_champion(label, predictions[kind], champion, kind, said)
    kept = "the champion stays" if champion is not None else "there is no champion"
    offered: Kind = "xgboost" if "xgboost" in predictions else "logistic"
    return Decision(offered, False, "; ".join([*said, kept]))


def _offers(predictions: Mapping[str, Floats]) -> list[tuple[Kind, tuple[str, ...]]]:
    fallback: list[tuple[Kind, tuple[str, ...]]] = [("logistic", ("prior",))]
    if "xgboost" not in predictions:
        return fallback
    return [("xgboost", ("logistic", "prior")), *fallback]


def _fault(
    label: Floats,
    predictions: Mapping[str, Floats],
    kind: Kind,
    references: tuple[str, ...],
    max_ece: float,
) -> str | None:
    """Why a model may not be offered, or None."""
    for reference in references:
        difference = compare(label, predictions[kind], predictions[reference])["log_loss"]
        if not difference.better:
            return f"log-loss against {reference} {difference} does not leave zero out"
    ece = expected_calibration_error(label, predictions[kind])
    limit = max(max_ece, calibration_error_by_chance(predictions[kind]))
    return f"calibration error {ece:.3f} is over {limit:.3f}" if ece > limit else None


def _against_champion(
    label: Floats, candidate: Floats, champion: Floats | None, kind: Kind, said: list[str]
) -> Decision:
    if champion is None:
        return Decision(kind, True, "; ".join([*said, "there was no champion"]))
    difference = compare(label, candidate, champion)["log_loss"]
    verdict = "better" if difference.better else "not better beyond chance, the champion stays"
    said = [*said, f"log-loss against the champion {difference}: {verdict}"]
    return Decision(kind, difference.better, "; ".join(said))
