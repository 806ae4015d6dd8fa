"""Why a customer has their score, in words.

What belongs here: summing contributions by group of features, choosing the strongest groups and
saying them with the customer's own values. What does not: computing contributions
(``ml.predictor``). Everything works on whole columns: a million customers take seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml.catalog import Feature

Floats = npt.NDArray[np.float64]

REASONS = 3


@dataclass(frozen=True)
class Reasons:
    """One rank of reasons, a value for each customer.

    Attributes:
        en: English sentences; null where there is no such reason.
        zh: Chinese sentences.
        contribution: What the group adds to the log-odds, signed; NaN where there is no reason.
    """

    en: pa.Array
    zh: pa.Array
    contribution: Floats


def top_reasons(
    matrix: Floats, contributions: Floats, features: Sequence[Feature], count: int = REASONS
) -> list[Reasons]:
    """The strongest groups of features for each customer, strongest first.

    A group is as strong as the sum of its features' contributions, so that features which say the
    same thing count as one reason. It is said by its strongest feature that pulls the group's way.

    Args:
        matrix: Feature values, ``rows x features``.
        contributions: What each adds to the log-odds, same shape.
        features: Descriptions, in the matrix's order.
        count: How many reasons.
    """
    groups = list(dict.fromkeys(feature.group for feature in features))
    members = [
        np.array([place for place, feature in enumerate(features) if feature.group == group])
        for group in groups
    ]
    strength = np.column_stack([contributions[:, place].sum(axis=1) for place in members])
    order = np.argsort(-np.abs(strength), axis=1, kind="stable")[:, :count]
    speaker = np.column_stack(
        [
            _speakers(matrix, contributions, place, strength[:, group])
            for group, place in enumerate(members)
        ]
    )
    rows = np.arange(len(matrix))
    found = []
    for rank in range(count):
        if rank >= len(groups):
            found.append(_none(len(matrix)))
            continue
        group = order[:, rank]
        adds = strength[rows, group]
        # A group that adds nothing is no reason.
        spoken = np.where(adds != 0, speaker[rows, group], -1)
        found.append(
            Reasons(
                en=_say(matrix, spoken, features, "en"),
                zh=_say(matrix, spoken, features, "zh"),
                contribution=np.where(adds != 0, adds, np.nan),
            )
        )
    return found


def _speakers(
    matrix: Floats, contributions: Floats, places: npt.NDArray[np.intp], strength: Floats
) -> npt.NDArray[np.intp]:
    """The feature that speaks for a group: the one that pulls most in the group's direction.

    One with a known value goes before one without.
    """
    pull = contributions[:, places] * np.sign(strength)[:, None]
    known = ~np.isnan(matrix[:, places])
    pull = np.where(known, pull, pull - (np.abs(pull).max(initial=0.0) + 1) * 2)
    speaker: npt.NDArray[np.intp] = places[np.argmax(pull, axis=1)]
    return speaker


def _say(
    matrix: Floats,
    spoken: npt.NDArray[np.intp],
    features: Sequence[Feature],
    language: Literal["en", "zh"],
) -> pa.Array:
    """Each row's sentence, made once for each distinct value."""
    sentences: list[str] = []
    index = np.full(len(spoken), -1, dtype=np.int64)
    for place, feature in enumerate(features):
        rows = np.flatnonzero(spoken == place)
        if not len(rows):
            continue
        # Four digits are all that a sentence shows; rounding makes distinct values few.
        values, inverse = np.unique(_rounded(matrix[rows, place]), return_inverse=True)
        index[rows] = len(sentences) + inverse
        say = feature.say_en if language == "en" else feature.say_zh
        sentences += [say(float(value)) for value in values]
    indices = pa.array(index, mask=index < 0)
    said = pa.DictionaryArray.from_arrays(indices, pa.array(sentences, pa.string()))
    return said.cast(pa.string())


def _rounded(values: Floats) -> Floats:
    """Values to two decimals; money and days are never said more finely, nor is a zero signed."""
    return np.round(values, 2) + 0.0


def _none(rows: int) -> Reasons:
    return Reasons(pa.nulls(rows, pa.string()), pa.nulls(rows, pa.string()), np.full(rows, np.nan))
