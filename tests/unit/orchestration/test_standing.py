"""What a table is made by: any change of the code, the SQL or the libraries is another basis."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.lib.standing import code_sha256


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name, text in {
        "siyu/ops.py": "x = 1",
        "dbt_project/models/marts/report.sql": "select 1",
        "dbt_project/models/marts/_marts.yml": "models: []",
        "dbt_project/target/compiled.sql": "select 1",
        "docs/operate.md": "words",
        "uv.lock": "duckdb 1",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "changed",
    ["siyu/ops.py", "dbt_project/models/marts/report.sql", "dbt_project/models/marts/_marts.yml",
     "dbt_project/models/marts/new.sql", "uv.lock"],
)  # fmt: skip
def test_other_code_is_told_apart(repository: Path, changed: str) -> None:
    before = code_sha256.__wrapped__(repository)
    (repository / changed).write_text("other", "utf-8")
    assert code_sha256.__wrapped__(repository) != before


def test_a_file_that_is_renamed_is_other_code(repository: Path) -> None:
    before = code_sha256.__wrapped__(repository)
    (repository / "siyu" / "ops.py").rename(repository / "siyu" / "ledger.py")
    assert code_sha256.__wrapped__(repository) != before


@pytest.mark.parametrize("changed", ["docs/operate.md", "dbt_project/target/compiled.sql"])
def test_what_makes_no_table_is_no_code(repository: Path, changed: str) -> None:
    before = code_sha256.__wrapped__(repository)
    (repository / changed).write_text("other", "utf-8")
    assert code_sha256.__wrapped__(repository) == before
