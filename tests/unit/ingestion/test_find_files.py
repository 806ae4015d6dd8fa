"""Finding the files of an input."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from siyu.config import Settings
from siyu.ingestion import InputError
from siyu.ingestion.connectors import find_files
from siyu.ingestion.connectors.files import is_unfinished
from siyu.retailer import Input

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)


def names(folder: Path, location: str, **settings: object) -> list[str]:
    source = Input.model_validate({"format": "csv", "location": f"{folder}/{location}", **settings})
    found = find_files("till", source, Settings(folder, "shop", folder, "duckdb", None), NOW)
    return [file.name for file in found.files]


def test_names_are_relative_to_the_part_without_wildcards(tmp_path: Path) -> None:
    for name in ("b/2.csv", "a/1.csv", "a/deep/3.csv"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(name)
    assert names(tmp_path, "in/*/*.csv") == ["a/1.csv", "b/2.csv"]
    assert names(tmp_path, "in/**/*.csv") == ["a/1.csv", "a/deep/3.csv", "b/2.csv"]
    assert names(tmp_path, "in/a/1.csv") == ["1.csv"]


def test_hidden_and_unfinished_files_are_left(tmp_path: Path) -> None:
    for name in ("a.csv", ".b.csv", "c.csv.tmp", "d.csv.partial", "e.csv~"):
        (tmp_path / name).write_text(name)
    assert names(tmp_path, "*") == ["a.csv"]


@pytest.mark.parametrize(("age", "settle", "unfinished"), [
    (3, 5, True), (5, 5, False), (600, 5, False), (0, 0, False), (-60, 0, False),
])  # fmt: skip
def test_a_file_younger_than_the_settling_time_waits(
    tmp_path: Path, age: int, settle: int, unfinished: bool
) -> None:
    file = tmp_path / "a.csv"
    file.write_text("")
    changed = (NOW - timedelta(seconds=age)).timestamp()
    os.utime(file, (changed, changed))
    assert is_unfinished(file, settle, NOW) is unfinished


def test_a_folder_in_place_of_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "crm").mkdir()
    with pytest.raises(InputError, match=r"is a folder; name its files with a glob"):
        names(tmp_path, "crm")


def test_an_unset_variable_is_named(tmp_path: Path) -> None:
    source = Input(format="csv", location="${SIYU_NO_SUCH_PLACE}/a.csv")
    with pytest.raises(InputError, match="set SIYU_NO_SUCH_PLACE in the environment"):
        find_files("till", source, Settings(tmp_path, "shop", tmp_path, "duckdb", None), NOW)


def test_a_file_that_vanishes_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match=r"a\.csv cannot be read"):
        names(tmp_path, "*.csv")
