"""How well links by likeness find the two records of a person, on Febrl's dataset 4.

``SIYU_DATA=… python -m benchmarks febrl_f1``: 5,000 made-up Australians, each once as it was and once with
mistakes (typing errors, swapped and missing fields). Names, birth dates and addresses are compared, each
as one text, as the vault keeps them; the social security number is not looked at. The model is trained on
the records alone; labels only judge it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import duckdb
import pyarrow as pa

from benchmarks._model_quality import NoData
from benchmarks._report import at_least, measured, report
from siyu.identity.probabilistic import RECORD_SCHEMA, likely_pairs

F1, PRECISION = 0.95, 0.99
# What retailer.yaml accepts by default.
PROBABILITY = 0.95
PEOPLE = 5_000


def main(probability: float = PROBABILITY) -> bool:
    """Compare all records and judge the pairs from a probability on.

    Returns:
        Whether F1 and precision reach their goals.

    Raises:
        NoData: ``SIYU_DATA`` does not name a folder with the data.
    """
    folder = Path(os.environ.get("SIYU_DATA", "")) / "febrl"
    if not folder.is_dir():
        raise NoData("febrl_f1: set SIYU_DATA to the folder that holds febrl/")
    records = febrl_records(folder)
    with measured() as cost:
        pairs = likely_pairs(records, probability)
    right = sum(_person(a) == _person(b) for a, b in _named(pairs))
    precision, recall = right / len(pairs), right / PEOPLE
    f1 = 2 * precision * recall / (precision + recall)
    return report(
        name="febrl_f1",
        value=f1,
        unit="F1 over pairs",
        goal=at_least(F1, provided=precision >= PRECISION),
        compared_with="the record ids of Febrl's dataset 4, which say whose a record is",
        precision=precision,
        least_precision=PRECISION,
        recall=recall,
        probability=probability,
        records=len(records),
        pairs=len(pairs),
        cpu_seconds=cost.cpu_seconds,
        peak_bytes=cost.peak_bytes,
    )


def febrl_records(folder: Path) -> pa.Table:
    """Dataset 4 in the form in which the vault's values are compared; ids shuffled by their hash."""
    files = [str(folder / f"dataset4{half}.csv.gz") for half in "ab"]
    with duckdb.connect() as connection:
        # Values begin with a space, and the last line of the first file ends without a line break.
        raw = connection.read_csv(files, header=True, all_varchar=True)  # type: ignore[arg-type]
        names = list(raw.columns)
        trimmed = ", ".join(f"nullif(trim(\"{name}\"), '') AS {name.strip()}" for name in names)
        raw.select(trimmed).create_view("person")
        return (
            connection.execute(
                "SELECT rec_id AS record_id, concat_ws(' ', given_name, surname) AS name, "
                "CAST(CAST(try_strptime(date_of_birth, '%Y%m%d') AS DATE) AS VARCHAR) AS birth_date, "
                "concat_ws(' ', street_number, address_1, address_2, suburb, state, postcode) AS address "
                "FROM person ORDER BY hash(rec_id)"
            )
            .to_arrow_table()
            .cast(RECORD_SCHEMA)
        )


def _named(pairs: pa.Table) -> list[tuple[str, str]]:
    return list(
        zip(pairs["identifier_a"].to_pylist(), pairs["identifier_b"].to_pylist(), strict=True)
    )


def _person(record_id: str) -> str:
    """``rec-12-org`` and ``rec-12-dup-0`` are of person 12."""
    return record_id.split("-")[1]


if __name__ == "__main__":
    sys.exit(0 if main(*map(float, sys.argv[1:2])) else 1)
