"""Links that no identifier proves: records alike by name, birth date and address.

Scored with splink (Fellegi and Sunter's model, trained without labels), an extra that is not installed
otherwise. The values come from the vault and are compared in a DuckDB database in memory that may not
spill to disk; what comes out names records by their ids.

What belongs here: which records are alike, and how much. What does not: where their values lie
(``siyu.vault``), or what becomes of a link (``siyu.identity.resolution``).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

if TYPE_CHECKING:
    from splink import Linker, SettingsCreator

RECORD_SCHEMA = pa.schema(
    [
        ("record_id", pa.string()),
        ("name", pa.string()),
        ("birth_date", pa.string()),
        ("address", pa.string()),
    ]
)
PAIR_SCHEMA = pa.schema(
    [
        ("identifier_a", pa.string()),
        ("identifier_b", pa.string()),
        ("probability", pa.float64()),
    ]
)

_SEED = 7
# Pairs drawn to learn how often records of different people agree by chance.
_SAMPLED_PAIRS = 1_000_000
# How many of the pairs that are one person the strict rules below find; only sets out the training.
_FOUND_BY_STRICT_RULES = 0.8

# Words are runs of letters and digits, and single Chinese characters, which nothing divides into words.
_WORDS = r"regexp_extract_all(lower({0}), '\p{{Han}}|[^\s\p{{Han}}\p{{P}}]+')"
_FEATURES = f"""
CREATE TABLE feature AS
SELECT
    record_id,
    nullif(birth_date, '') AS birth_date,
    birth_date[1:4] AS birth_year,
    birth_date[6:] AS birthday,
    nullif(array_to_string(list_sort(name_words), ' '), '') AS name,
    name_words,
    name_words[1] AS first_word,
    name_words[-1] AS last_word,
    nullif(array_to_string(address_words, ' '), '') AS address,
    address_words,
    nullif(array_to_string(regexp_extract_all(address, '\\d+'), ' '), '') AS address_numbers
FROM (
    SELECT *, {_WORDS.format("name")} AS name_words, {_WORDS.format("address")} AS address_words
    FROM record
)
"""


class ProbabilisticLinksError(Exception):
    """Records cannot be compared; the message says why, and holds no value of them."""


def is_installed() -> bool:
    """Whether the extra ``siyu[probabilistic]`` is there."""
    return find_spec("splink") is not None


def likely_pairs(records: pa.Table, at_least: float) -> pa.Table:
    """Pairs of records that are probably of one person.

    Args:
        records: ``RECORD_SCHEMA``; values in the vault's normal form, empty where unknown. A record's
            id is in one row.
        at_least: Probability from which on a pair is told, 0 to 1.

    Returns:
        ``PAIR_SCHEMA``, the smaller id first, in order of ids; the same for the same records in any
        order, bar the last digits.

    Raises:
        ProbabilisticLinksError: splink is not installed, or there are too few records alike for its
            model to be trained.
    """
    if not is_installed():
        raise ProbabilisticLinksError(
            "links by likeness need splink, which is not installed: install siyu[probabilistic]"
        )
    with duckdb.connect(":memory:") as connection:
        # Values may lie in memory and nowhere else: what does not fit fails.
        connection.execute("SET temp_directory = ''")
        connection.register("record", records.sort_by("record_id"))
        try:
            connection.execute(_FEATURES)
            found = _scored(connection, at_least)
        except ProbabilisticLinksError:
            raise
        except Exception as error:
            # What an engine says of an error may quote a value.
            raise ProbabilisticLinksError(
                f"{len(records):,} records could not be compared ({type(error).__name__}): there may be "
                "too few that are alike to learn from; remove probabilistic_links from retailer.yaml"
            ) from None
    return found


def _scored(connection: duckdb.DuckDBPyConnection, at_least: float) -> pa.Table:
    # Imported here: they take seconds, and few retailers ask for them.
    from splink import DuckDBAPI, Linker

    logging.getLogger("splink").setLevel(logging.CRITICAL)
    data = DuckDBAPI(connection).register("feature")
    linker = Linker(data, _settings(), log_level=logging.CRITICAL)
    _train(linker)
    pairs = linker.inference.predict(threshold_match_probability=at_least).physical_name
    return (
        connection.execute(
            "SELECT least(record_id_l, record_id_r) AS identifier_a, "
            "greatest(record_id_l, record_id_r) AS identifier_b, match_probability AS probability "
            f"FROM {pairs} ORDER BY ALL"
        )
        .to_arrow_table()
        .cast(PAIR_SCHEMA)
    )


def _settings() -> SettingsCreator:
    """What is compared, how alike is alike, and which pairs are looked at."""
    import splink.comparison_level_library as levels
    from splink import SettingsCreator, block_on
    from splink.comparison_library import CustomComparison

    def comparison(column: str, *alike: Any) -> Any:
        return CustomComparison(
            output_column_name=column,
            comparison_levels=[
                levels.NullLevel(column),
                levels.ExactMatchLevel(column),
                *alike,
                levels.ElseLevel(),
            ],
        )

    def share_of_words(least: float) -> Any:
        shared = "len(list_intersect(address_words_l, address_words_r))"
        either = "len(list_distinct(address_words_l || address_words_r))"
        return levels.CustomLevel(f"CAST({shared} AS DOUBLE) / {either} >= {least}")

    # With the order of its words set aside, as given name and surname change places.
    name = comparison(
        "name",
        levels.JaroWinklerLevel("name", 0.94),
        levels.JaroWinklerLevel("name", 0.86),
        levels.CustomLevel("len(list_intersect(name_words_l, name_words_r)) > 0"),
    )
    birth_date = comparison(
        "birth_date",
        levels.DamerauLevenshteinLevel("birth_date", 1),
        levels.DamerauLevenshteinLevel("birth_date", 2),
    )
    address = comparison("address", *map(share_of_words, (0.75, 0.5, 0.3, 0.15)))
    blocks: Sequence[tuple[str, ...]] = (
        ("birth_date",), ("name",), ("address_numbers",),
        ("first_word", "birth_year"), ("last_word", "birth_year"),
        ("first_word", "birthday"), ("last_word", "birthday"),
    )  # fmt: skip
    return SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="record_id",
        comparisons=[name, birth_date, address],
        blocking_rules_to_generate_predictions=[block_on(*block) for block in blocks],
        retain_matching_columns=False,
        retain_intermediate_calculation_columns=False,
        # Where hardly any records of a person differ, further steps only bring the probability of a
        # likeness that does not occur to 0, which splink refuses.
        em_convergence=0.01,
        max_iterations=10,
    )


def _train(linker: Linker) -> None:
    """Learn from the records alone how telling each likeness is; nobody says which pairs are right."""
    from splink import block_on

    training = linker.training
    strict = (
        ("birth_date", "name"),
        ("birth_date", "address_numbers"),
        ("name", "address_numbers"),
    )
    training.estimate_probability_two_random_records_match(
        [block_on(*rule) for rule in strict], recall=_FOUND_BY_STRICT_RULES
    )
    training.estimate_u_using_random_sampling(max_pairs=_SAMPLED_PAIRS, seed=_SEED)
    # Each leaves out the comparison that it blocks on, and the others learn from it.
    for column in ("birth_date", "name", "address_numbers"):
        training.estimate_parameters_using_expectation_maximisation(block_on(column))
