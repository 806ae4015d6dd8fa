"""What published tables and columns mean, gathered from where each is described."""

from __future__ import annotations

from siyu.dictionary import read_models
from siyu.serving import TableText


def table_texts() -> dict[str, TableText]:
    """Meaning of each published ``schema.table``: dbt's YAML, and the schema of the scores."""
    from ml.metrics_schema import METRICS_COLUMNS, METRICS_EN, METRICS_TABLE, METRICS_ZH
    from ml.scores_schema import SCORE_COLUMNS, SCORES_EN, SCORES_TABLE, SCORES_ZH

    texts = {
        f"{model.layer}.{model.name}": TableText(
            model.en, model.zh, {column.name: (column.en, column.zh) for column in model.columns}
        )
        for model in read_models()
    }
    texts[SCORES_TABLE] = TableText(
        SCORES_EN, SCORES_ZH, {column.name: (column.en, column.zh) for column in SCORE_COLUMNS}
    )
    texts[METRICS_TABLE] = TableText(
        METRICS_EN, METRICS_ZH, {name: (en, zh) for name, (_, en, zh) in METRICS_COLUMNS.items()}
    )
    return texts
