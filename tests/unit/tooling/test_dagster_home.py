"""Dagster's home is laid out by one function, whoever starts Dagster."""

from pathlib import Path

from siyu import dagster_home
from siyu.config import REPO, Settings
from siyu.paths import Paths


def test_the_home_holds_the_repositorys_settings_and_may_be_laid_out_again(tmp_path: Path) -> None:
    settings = Settings(tmp_path, "shop", REPO / "retailers", "duckdb", None)
    home = dagster_home.lay_out(settings)
    (home / "dagster.yaml").write_text("changed by hand", "utf-8")
    assert dagster_home.lay_out(settings) == home == Paths.of(settings).dagster
    assert (home / "dagster.yaml").read_bytes() == (REPO / "dagster.yaml").read_bytes()
