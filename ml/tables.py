"""The tables of the schema ``ml``, in the words and types of the data dictionary.

What belongs here: saying what they hold. What does not: their schemas (``ml.scores_schema``,
``ml.metrics_schema``), from which this follows.
"""

from __future__ import annotations

from ml.metrics_schema import METRICS_COLUMNS, METRICS_EN, METRICS_TABLE, METRICS_ZH
from ml.scores_schema import SCORE_COLUMNS, SCORES_EN, SCORES_TABLE, SCORES_ZH
from siyu.dictionary import Model, ModelColumn, type_name


def ml_models() -> list[Model]:
    """Every table of the schema."""
    scores = tuple(
        ModelColumn(name=column.name, type=type_name(column.type), en=column.en, zh=column.zh)
        for column in SCORE_COLUMNS
    )
    metrics = tuple(
        ModelColumn(name=name, type=type_name(kind), en=en, zh=zh)
        for name, (kind, en, zh) in METRICS_COLUMNS.items()
    )
    return [
        _model(SCORES_TABLE, SCORES_EN, SCORES_ZH, scores),
        _model(METRICS_TABLE, METRICS_EN, METRICS_ZH, metrics),
    ]


def _model(table: str, en: str, zh: str, columns: tuple[ModelColumn, ...]) -> Model:
    layer, _, name = table.partition(".")
    return Model(layer=layer, name=name, en=en, zh=zh, columns=columns)
