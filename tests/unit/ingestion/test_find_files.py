"""Finding the files of an input."""

import errno
import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from siyu.config import Settings
from siyu.ingestion import InputError
from siyu.ingestion.connectors import SourceFile, find_files
from siyu.ingestion.connectors.files import is_unfinished
from siyu.retailer import Input

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)


def found(folder: Path, location: str, **settings: object) -> tuple[SourceFile, ...]:
    source = Input.model_validate({"format": "csv", "location": f"{folder}/{location}", **settings})
    return find_files("till", source, Settings(folder, "shop", folder, "duckdb", None), NOW).files


def names(folder: Path, location: str, **settings: object) -> list[str]:
    return [file.name for file in found(folder, location, **settings)]


def hashes(folder: Path) -> list[str]:
    return [file.sha256 for file in found(folder, "*.csv")]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


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


def test_a_file_that_grows_while_it_is_hashed_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("one")
    digest = hashlib.file_digest

    def meanwhile(opened: Any, how: str) -> Any:
        if opened.name.endswith("a.csv"):
            (tmp_path / "a.csv").write_text("one and more")
        return digest(opened, how)

    monkeypatch.setattr(hashlib, "file_digest", meanwhile)
    source = Input(format="csv", location=f"{tmp_path}/*.csv")
    seen = find_files("till", source, Settings(tmp_path, "shop", tmp_path, "duckdb", None), NOW)
    assert ([file.name for file in seen.files], seen.waiting) == (["b.csv"], ("a.csv",))
    monkeypatch.undo()
    assert names(tmp_path, "*.csv") == ["a.csv", "b.csv"]


def test_a_file_says_whether_it_has_changed_since_it_was_hashed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("12")
    (file,) = found(tmp_path, "a.csv")
    assert not file.has_changed
    with (tmp_path / "a.csv").open("a") as opened:
        opened.write("3.45")
    assert file.has_changed
    (tmp_path / "a.csv").unlink()
    assert file.has_changed


def test_a_folder_in_place_of_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "crm").mkdir()
    with pytest.raises(InputError, match=r"is a folder; name its files with a glob"):
        names(tmp_path, "crm")


@pytest.mark.parametrize(("location", "closed"), [
    ("in/*.csv", "in"), ("in/*/*.csv", "in/b"), ("in/**/*.csv", "in/b/deep"), ("i*/b/*.csv", "in/b"),
])  # fmt: skip
def test_a_folder_that_may_not_be_looked_into_is_not_taken_for_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str, closed: str
) -> None:
    (tmp_path / "in" / "b" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a.csv").write_text("a")
    listed = os.scandir

    def refusing(folder: Any) -> Any:  # whoever runs the tests may be allowed everything
        if Path(folder) == tmp_path / closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(InputError, match=rf"{closed} cannot be looked into \(Permission denied\)"):
        names(tmp_path, location)


def test_a_file_below_a_folder_that_may_not_be_entered_is_not_taken_for_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(path: Path) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "lstat", refusing)
    with pytest.raises(InputError, match=r"in/a\.csv cannot be looked into"):
        names(tmp_path, "in/a.csv")
    monkeypatch.undo()
    assert names(tmp_path, "in/a.csv") == []


def test_an_unset_variable_is_named(tmp_path: Path) -> None:
    source = Input(format="csv", location="${SIYU_NO_SUCH_PLACE}/a.csv")
    with pytest.raises(InputError, match="set SIYU_NO_SUCH_PLACE in the environment"):
        find_files("till", source, Settings(tmp_path, "shop", tmp_path, "duckdb", None), NOW)


def test_a_file_that_vanishes_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match=r"a\.csv cannot be read"):
        names(tmp_path, "*.csv")


def test_a_file_is_read_for_its_hash_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    opened = Path.open

    def counting(path: Path, mode: str = "r", **settings: Any) -> Any:
        read.extend([path] if mode == "rb" else [])
        return opened(path, mode, **settings)

    monkeypatch.setattr(Path, "open", counting)
    file = tmp_path / "a.csv"
    file.write_bytes(b"one")
    assert [hashes(tmp_path), hashes(tmp_path)] == [[sha256(b"one")]] * 2
    assert read.count(file) == 1
    before = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hashes(tmp_path) == [sha256(b"two")]
