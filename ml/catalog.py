"""What each feature means: its group and how to say it to a person.

What belongs here: reading the ``meta`` of ``dbt_project/models/features``, where a feature is
described beside its SQL, and the names of the few columns that models know by name. What does not:
the values of features (``ml.dataset``) or putting reasons together (``ml.reasons``).

A feature's ``meta`` has ``group`` (features that say much the same, such as all windows of
recency); ``label_en`` and ``label_zh``, a few words for a chart; ``reason_en`` and ``reason_zh``,
sentences with ``{value}`` in them, where ``{s}`` is the plural's ending: ``Last bought {value:.0f}
day{s} ago``; and, where an empty value says something about the customer, ``unknown_en`` and
``unknown_zh``, that sentence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from siyu.config import REPO
from siyu.yamls import read_yaml

FEATURES_TABLE = "features.customer_features"
LABELS_TABLE = "features.customer_labels"
KEYS = ("customer_id", "as_of_date")

# The columns that baselines, populations and slices know by name.
RECENCY = "recency_days"
FREQUENCY = "order_count"
TENURE = "tenure_days"


class CatalogError(Exception):
    """A feature's description cannot be used; the message says which file, column and what."""


@dataclass(frozen=True)
class Feature:
    """How one feature is explained.

    Attributes:
        name: Column of ``features.customer_features``.
        group: Features of one group count as one reason.
        reason_en: English sentence with ``{value}``, and ``{s}`` where one is not like many.
        reason_zh: Chinese sentence with ``{value}``.
        en: Label, in English.
        zh: The same in Chinese.
        unknown_en: English sentence for an empty value; by default that the label is not known.
        unknown_zh: The same in Chinese.
    """

    name: str
    group: str
    reason_en: str
    reason_zh: str
    en: str
    zh: str
    unknown_en: str = ""
    unknown_zh: str = ""

    @staticmethod
    def undescribed(name: str) -> Feature:
        """A feature nobody has described: a group of its own, named by its column."""
        return Feature(
            name, name, f"{name} is {{value:.4g}}", f"{name} 为 {{value:.4g}}", name, name
        )

    def say_en(self, value: float) -> str:
        """The value as an English sentence; NaN is said to be unknown."""
        if math.isnan(value):
            return self.unknown_en or f"{self.en}: not known"
        return self.reason_en.format(value=value, s="" if round(value) == 1 else "s")

    def say_zh(self, value: float) -> str:
        """The value as a Chinese sentence; NaN is said to be unknown."""
        if math.isnan(value):
            return self.unknown_zh or f"{self.zh}：未知"
        return self.reason_zh.format(value=value)

    def as_dict(self) -> dict[str, str]:
        """Plain values, to be kept with a model."""
        return asdict(self)


def read_catalog(folder: Path = REPO / "dbt_project" / "models" / "features") -> dict[str, Feature]:
    """Features described in the folder's YAML files, by name.

    Raises:
        CatalogError: a file is not YAML, or a sentence is not a usable template.
    """
    found: dict[str, Feature] = {}
    for file in sorted(folder.rglob("*.y*ml")):
        try:
            said = read_yaml(file.read_text("utf-8")) or {}
        except yaml.YAMLError as error:
            raise CatalogError(f"{file}: not YAML: {error}") from error
        for column in _columns(said):
            feature = _feature(column, file)
            if feature:
                found[feature.name] = feature
    return found


def describe(names: Iterable[str], catalog: Mapping[str, Feature]) -> list[Feature]:
    """The features of those names, in order."""
    return [catalog.get(name) or Feature.undescribed(name) for name in names]


def _columns(said: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    table = FEATURES_TABLE.partition(".")[2]
    for model in said.get("models") or ():
        if model.get("name") == table:
            yield from model.get("columns") or ()


def _feature(column: Mapping[str, Any], file: Path) -> Feature | None:
    meta = column.get("meta") or (column.get("config") or {}).get("meta") or {}
    name = str(column["name"])
    if "group" not in meta:
        return None
    plain = Feature.undescribed(name)
    feature = Feature(
        name=name,
        group=str(meta["group"]),
        reason_en=str(meta.get("reason_en", plain.reason_en)),
        reason_zh=str(meta.get("reason_zh", plain.reason_zh)),
        en=str(meta.get("label_en", name)),
        zh=str(meta.get("label_zh", name)),
        unknown_en=str(meta.get("unknown_en", "")),
        unknown_zh=str(meta.get("unknown_zh", "")),
    )
    for field, say in (("reason_en", feature.say_en), ("reason_zh", feature.say_zh)):
        try:
            say(1.0)
        except (KeyError, IndexError, ValueError) as error:
            raise CatalogError(
                f"{file}: {name}: {field} {meta[field]!r} must be a sentence with {{value}} in it, "
                f"and at most {{s}} besides in English: {error}"
            ) from error
    return feature
