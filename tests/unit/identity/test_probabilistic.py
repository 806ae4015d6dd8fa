"""Records that are alike by name, birth date and address are found, and nothing of them gets out."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

import duckdb
import pyarrow as pa
import pytest

from siyu.identity import probabilistic
from siyu.identity.probabilistic import (
    PAIR_SCHEMA,
    RECORD_SCHEMA,
    ProbabilisticLinksError,
    is_installed,
    likely_pairs,
)

needs_splink = pytest.mark.skipif(
    not is_installed(),
    reason="needs the probabilistic extra (uv sync --frozen --extra probabilistic)",
)
SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡林郭何高罗"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀兰霞平刚桂英华文辉玲建国"
STREETS = ("中山路", "解放路", "人民路", "建设路", "和平街", "新华路", "长江路", "黄河路")
CITIES = ("上海市浦东新区", "北京市朝阳区", "广州市天河区", "成都市武侯区")


def people(count: int, again: int) -> list[dict[str, str | None]]:
    """Records of so many people, some of whom have a second one with mistakes in it."""
    random = Random(3)
    made: list[dict[str, str | None]] = []
    for number in range(count):
        person: dict[str, str | None] = {
            "record_id": f"crm:{number}",
            "name": random.choice(SURNAMES) + "".join(random.sample(GIVEN, 2)),
            "birth_date": str(date(1960, 1, 1) + timedelta(days=random.randrange(15_000))),
            "address": f"{random.choice(CITIES)}{random.choice(STREETS)}{random.randrange(1, 900)}号",
        }
        made.append(person)
        if number < again:
            made.append({**person, "record_id": f"shop:{number}", **_mistake(person, number)})
    random.shuffle(made)
    return made


def _mistake(person: dict[str, str | None], number: int) -> dict[str, str | None]:
    """Every other second record says something else, or nothing, in one place."""
    return {
        1: {"address": None},
        3: {"birth_date": f"{str(person['birth_date'])[:8]}28"},
        5: {"address": f"{person['address']}3栋502室"},
        7: {"birth_date": None},
    }.get(number % 8, {})


@needs_splink
def test_second_records_of_a_person_are_found_without_anybody_telling_which(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probabilistic, "_SAMPLED_PAIRS", 50_000)
    records = pa.Table.from_pylist(people(300, again=80), RECORD_SCHEMA)

    pairs = likely_pairs(records, 0.9)

    assert pairs.schema == PAIR_SCHEMA
    found = {(row["identifier_a"], row["identifier_b"]) for row in pairs.to_pylist()}
    right = {(f"crm:{number}", f"shop:{number}") for number in range(80)}
    assert len(found - right) <= 1
    assert len(found & right) >= 75


@needs_splink
def test_too_few_records_to_learn_from_are_an_error_that_quotes_none_of_them() -> None:
    records = pa.Table.from_pylist(people(3, again=0), RECORD_SCHEMA)

    with pytest.raises(ProbabilisticLinksError, match="3 records could not be compared") as error:
        likely_pairs(records, 0.9)

    assert error.value.__cause__ is None
    assert not any(str(value) in str(error.value) for value in records["name"].to_pylist())


def test_values_are_compared_in_memory_and_may_not_spill(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str | None]] = []

    def look(connection: duckdb.DuckDBPyConnection, _: float) -> pa.Table:
        (spills,) = connection.sql("SELECT current_setting('temp_directory')").fetchall()[0]
        (file,) = connection.sql(
            "SELECT path FROM duckdb_databases() WHERE NOT internal"
        ).fetchall()[0]
        seen.append((spills, file))
        return PAIR_SCHEMA.empty_table()

    monkeypatch.setattr(probabilistic, "is_installed", lambda: True)
    monkeypatch.setattr(probabilistic, "_scored", look)

    likely_pairs(RECORD_SCHEMA.empty_table(), 0.9)

    assert seen == [("", None)]


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probabilistic, "is_installed", lambda: False)

    with pytest.raises(ProbabilisticLinksError, match=r"install siyu\[probabilistic\]"):
        likely_pairs(RECORD_SCHEMA.empty_table(), 0.9)
