"""Features and labels as one matrix.

What belongs here: reading ``features.customer_features`` and ``features.customer_labels`` for given
as-of days, the population of a task, and the hash of what was read. What does not: choosing the
days (``ml.snapshots``) or any fitting. Only the pseudonymous ``customer_id`` and numbers are read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml.catalog import FEATURES_TABLE, FREQUENCY, KEYS, LABELS_TABLE, RECENCY, TENURE
from siyu.retailer import ModelSettings
from siyu.warehouse import Warehouse

Floats = npt.NDArray[np.float64]


class DatasetError(Exception):
    """Features or labels that are needed are missing; the message says which and what to do."""


@dataclass(frozen=True)
class Dataset:
    """Rows of customers as of some days.

    Attributes:
        customer_id: Pseudonymous keys, ``rows`` long, sorted by day, then key.
        as_of: Day of each row, ``datetime64[D]``.
        features: Names of the columns of ``matrix``.
        matrix: ``rows x features``, float64, NaN where unknown.
        label: 1.0 or 0.0 for each row; empty when features were read alone.
    """

    customer_id: pa.Array
    as_of: npt.NDArray[np.datetime64]
    features: tuple[str, ...]
    matrix: Floats
    label: Floats

    def __len__(self) -> int:
        return len(self.as_of)

    def column(self, name: str) -> Floats:
        """Values of one feature."""
        values: Floats = self.matrix[:, self.features.index(name)]
        return values

    def at(self, days: Iterable[date]) -> Dataset:
        """The rows of those days."""
        return self.where(np.isin(self.as_of, np.array(list(days), dtype="datetime64[D]")))

    def where(self, mask: npt.NDArray[np.bool_]) -> Dataset:
        """The rows that the mask keeps."""
        return replace(
            self,
            customer_id=self.customer_id.filter(pa.array(mask)),
            as_of=self.as_of[mask],
            matrix=self.matrix[mask],
            label=self.label[mask] if len(self.label) else self.label,
        )

    def select(self, names: Sequence[str]) -> Dataset:
        """The same rows with only those features, in that order.

        Raises:
            DatasetError: one of them is not here.
        """
        missing = sorted(set(names) - set(self.features))
        if missing:
            raise DatasetError(
                f"{FEATURES_TABLE} has no column {', '.join(missing)} of type DOUBLE; a model that "
                f"was trained with it cannot be used: rebuild the features or train anew"
            )
        places = [self.features.index(name) for name in names]
        return replace(self, features=tuple(names), matrix=self.matrix[:, places])

    def sha256(self) -> str:
        """Hash of every key, value and label, in order."""
        digest = hashlib.sha256(",".join(self.features).encode())
        for part in self.customer_id.cast(pa.string()).to_numpy(zero_copy_only=False):
            digest.update(f"{part}\n".encode())
        for values in (self.as_of.astype("int64"), self.matrix, self.label):
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()


def read_training(
    warehouse: Warehouse, task: str, settings: ModelSettings, days: Sequence[date], as_of: date
) -> Dataset:
    """Features with mature labels of the task's population.

    Args:
        warehouse: Where the tables are.
        task: ``churn`` or ``repurchase``; its label is the column ``<task>_label``.
        settings: The task's population.
        days: As-of days to read.
        as_of: Last complete day; a label that matures later is not used.

    Raises:
        DatasetError: a day has no labelled customer, or a table or column is missing.
    """
    names = _feature_columns(warehouse)
    _require_columns(warehouse, LABELS_TABLE, {*KEYS, f"{task}_label", f"{task}_matures_on"})
    selected = ", ".join(f"f.{name}" for name in names)
    table = warehouse.read(
        f"SELECT f.customer_id, f.as_of_date, {selected}, CAST(l.{task}_label AS DOUBLE) AS label "
        f"FROM {FEATURES_TABLE} f JOIN {LABELS_TABLE} l USING (customer_id, as_of_date) "
        f"WHERE list_contains(?, f.as_of_date) AND l.{task}_label IS NOT NULL "
        f"AND l.{task}_matures_on <= ? AND {_population(settings)} "
        f"ORDER BY f.as_of_date, f.customer_id",
        [list(days), as_of],
    )
    dataset = _dataset(table, names)
    read = set(dataset.as_of.tolist())
    empty = [day.isoformat() for day in days if day not in read]
    if empty:
        raise DatasetError(
            f"{LABELS_TABLE} has no labelled customer for {task} on {', '.join(empty)}; build the "
            f"features and labels of these days first"
        )
    return dataset


def read_features(warehouse: Warehouse, settings: ModelSettings, day: date) -> Dataset:
    """Features of the task's population on one day, without labels.

    Raises:
        DatasetError: the table or a column is missing.
    """
    names = _feature_columns(warehouse)
    table = warehouse.read(
        f"SELECT f.customer_id, f.as_of_date, {', '.join(f'f.{name}' for name in names)} "
        f"FROM {FEATURES_TABLE} f WHERE f.as_of_date = ? AND {_population(settings)} "
        f"ORDER BY f.customer_id",
        [day],
    )
    return _dataset(table, names)


def drop_unknown(dataset: Dataset, train: Dataset) -> tuple[Dataset, dict[str, str]]:
    """Leave out the features that say nothing in training; the baselines' own always stay.

    Args:
        dataset: What to take the columns from.
        train: The rows that decide.

    Returns:
        The narrower dataset, and why each column was left out.
    """
    dropped = {}
    for place, name in enumerate(train.features):
        if name in (RECENCY, FREQUENCY, TENURE):
            continue
        known = train.matrix[~np.isnan(train.matrix[:, place]), place]
        if not len(known):
            dropped[name] = "the retailer has no source for it"
        elif len(known) == len(train) and known.min() == known.max():
            dropped[name] = "the same for every customer"
    kept = [name for name in dataset.features if name not in dropped]
    return dataset.select(kept), dropped


def _population(settings: ModelSettings) -> str:
    """Customers a task speaks of: buyers, and where the task says so, recent ones only."""
    if settings.active_days is None:
        return f"f.{RECENCY} IS NOT NULL"
    return f"f.{RECENCY} < {settings.active_days}"


def _feature_columns(warehouse: Warehouse) -> list[str]:
    types = _require_columns(warehouse, FEATURES_TABLE, {*KEYS, RECENCY, FREQUENCY, TENURE})
    return [name for name, kind in types.items() if kind == "DOUBLE" and name not in KEYS]


def _require_columns(warehouse: Warehouse, table: str, needed: set[str]) -> dict[str, str]:
    """Types of a table's columns by name, all the needed ones among them."""
    if not warehouse.exists(table):
        raise DatasetError(f"{table}: no such table; run the refresh job first")
    described: list[dict[str, Any]] = warehouse.read(f"DESCRIBE {table}").to_pylist()
    types = {str(row["column_name"]): str(row["column_type"]) for row in described}
    missing = sorted(needed - set(types))
    if missing:
        raise DatasetError(f"{table} has no column {', '.join(missing)}; models need it")
    return types


def _dataset(table: pa.Table, names: Sequence[str]) -> Dataset:
    matrix = np.empty((table.num_rows, len(names)), dtype=np.float64)
    for place, name in enumerate(names):
        # A null becomes NaN: Arrow keeps the two apart, the models do not.
        matrix[:, place] = table[name].to_numpy()
    label = table["label"].to_numpy() if "label" in table.column_names else np.empty(0)
    return Dataset(
        customer_id=table["customer_id"].combine_chunks(),
        as_of=table["as_of_date"].cast(pa.date32()).to_numpy().astype("datetime64[D]"),
        features=tuple(names),
        matrix=matrix,
        label=np.asarray(label, dtype=np.float64),
    )
