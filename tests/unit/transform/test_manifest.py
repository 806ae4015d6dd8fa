"""The manifest that definitions load is whole whenever it is there, and parsed once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from dbt.cli import main as dbt

from siyu import transform
from siyu.transform import DbtError, ensure_manifest

WHOLE = '{"nodes": {}}'


class SlowDbt:
    """dbt's runner, who writes a manifest half at a time; in between, someone may look."""

    def __init__(self, manifest: Path) -> None:
        self.manifest = manifest
        self.parses = 0
        self.seen_half_way: list[str | None] = []
        self.fails = False

    def invoke(self, args: list[str]) -> SimpleNamespace:
        self.parses += 1
        written = Path(args[args.index("--target-path") + 1]) / "manifest.json"
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(WHOLE[:5], "utf-8")
        there = self.manifest.exists()
        self.seen_half_way.append(self.manifest.read_text("utf-8") if there else None)
        if self.fails:
            return SimpleNamespace(success=False, exception=ValueError("no such macro"))
        written.write_text(WHOLE, "utf-8")
        return SimpleNamespace(success=True, exception=None)


@pytest.fixture
def slow_dbt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlowDbt:
    manifest = tmp_path / "target" / "manifest.json"
    runner = SlowDbt(manifest)
    monkeypatch.setattr(transform, "MANIFEST", manifest)
    monkeypatch.setattr(dbt, "dbtRunner", lambda: runner)
    return runner


def test_nobody_finds_a_manifest_that_is_half_written(slow_dbt: SlowDbt) -> None:
    assert ensure_manifest().read_text("utf-8") == WHOLE
    assert slow_dbt.seen_half_way == [None]


def test_a_manifest_older_than_its_sources_stays_whole_while_it_is_made_anew(
    slow_dbt: SlowDbt, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = ensure_manifest().stat().st_mtime
    changes = iter((written + 1, written + 1))
    monkeypatch.setattr(transform, "_newest_source", lambda: next(changes))
    ensure_manifest()
    assert slow_dbt.seen_half_way == [None, WHOLE]


def test_a_current_manifest_is_not_parsed_again(slow_dbt: SlowDbt) -> None:
    ensure_manifest()
    ensure_manifest()
    assert slow_dbt.parses == 1


def test_of_several_who_need_it_at_once_one_parses_and_the_others_wait(slow_dbt: SlowDbt) -> None:
    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(lambda _: ensure_manifest(), range(8)))
    assert {file.read_text("utf-8") for file in files} == {WHOLE}
    assert slow_dbt.parses == 1


def test_a_project_that_does_not_parse_leaves_no_manifest_and_says_why(slow_dbt: SlowDbt) -> None:
    slow_dbt.fails = True
    with pytest.raises(DbtError, match="no such macro"):
        ensure_manifest()
    assert not slow_dbt.manifest.exists()
