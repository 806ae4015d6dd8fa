"""What published tables and columns mean, gathered from where each is described."""

from __future__ import annotations

from siyu.dictionary import read_models
from siyu.serving import TableText


def table_texts() -> dict[str, TableText]:
    """Meaning of each published ``schema.table``, but of the schema ``ops``: dbt's YAML and ``ml``."""
    from ml.tables import ml_models

    return {
        f"{model.layer}.{model.name}": TableText(
            model.en, model.zh, {column.name: (column.en, column.zh) for column in model.columns}
        )
        for model in (*read_models(), *ml_models())
    }
