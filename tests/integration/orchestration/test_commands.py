"""The commands that keep a home safe: they say in one line what is wrong, and exit with 2."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from connected_shop import Shop, make_shop
from filelock import FileLock
from typer.testing import CliRunner, Result

from siyu.cli import app
from siyu.config import Settings
from siyu.ingestion import land_entity
from siyu.lake import Lake
from siyu.paths import Paths
from siyu.retailer import load_retailer


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop in whose lake there are stores and members of staff."""
    made = make_shop(tmp_path)
    monkeypatch.setenv("SIYU_RETAILERS", str(tmp_path / "retailers"))
    monkeypatch.setenv("SIYU_RETAILER", "corner_shop")
    monkeypatch.setenv("SIYU_HOME", str(made.paths.home))
    monkeypatch.setenv("ROSTER", str(tmp_path / "roster"))
    (tmp_path / "retailers/corner_shop/staff.sql").write_text(
        "SELECT id AS staff_id, phone, 'active' AS status, _file, _row FROM roster", "utf-8"
    )
    settings = Settings.from_env()
    for entity in ("stores", "staff"):
        land_entity(settings, load_retailer(settings), entity, "run", datetime.now(UTC))
    return made


def _siyu(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def test_what_was_backed_up_is_restored_into_an_empty_home(shop: Shop, tmp_path: Path) -> None:
    made = _siyu("backup", tmp_path / "backups", "--keys", tmp_path / "usb")
    assert made.exit_code == 0, made.output
    (folder,) = (tmp_path / "backups").iterdir()
    assert made.output.startswith(f"{folder}: ")
    landed = Lake(shop.paths).manifests("staff")
    shutil.rmtree(shop.paths.home)

    restored = _siyu("restore", folder, "--keys", tmp_path / "usb")
    assert restored.exit_code == 0, restored.output
    assert "now run the refresh job" in _one_line(restored.output)
    assert Lake(shop.paths).manifests("staff") == landed != []


def test_a_backup_without_keys_says_so(shop: Shop, tmp_path: Path) -> None:
    made = _siyu("backup", tmp_path / "backups")
    assert made.exit_code == 0, made.output
    assert "The keys are not in it" in made.output


def test_nothing_is_restored_over_a_home_in_use(shop: Shop, tmp_path: Path) -> None:
    _siyu("backup", tmp_path / "backups", "--keys", tmp_path / "usb")
    (folder,) = (tmp_path / "backups").iterdir()
    refused = _siyu("restore", folder, "--keys", tmp_path / "usb")
    assert refused.exit_code == 2
    assert "is not empty" in _one_line(refused.output)


def test_a_backup_waits_for_no_run(shop: Shop, tmp_path: Path) -> None:
    with FileLock(shop.paths.lock):
        refused = _siyu("backup", tmp_path / "backups")
    assert refused.exit_code == 2
    assert "another run of corner_shop is writing" in _one_line(refused.output)


def test_an_empty_home_has_nothing_to_back_up(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIYU_HOME", str(tmp_path / "empty"))
    refused = _siyu("backup", tmp_path / "backups")
    assert refused.exit_code == 2
    assert "nothing has landed yet" in _one_line(refused.output)


@pytest.mark.parametrize("arguments", [(), ("--keys", "nowhere")])
def test_what_is_no_backup_is_refused(
    shop: Shop, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    refused = _siyu("restore", tmp_path, *arguments)
    assert refused.exit_code == 2
    assert "this is no whole backup" in _one_line(refused.output)
    assert Paths.of(Settings.from_env()).lake.is_dir()


@pytest.mark.parametrize("connection", ["erp", "nobody"])
def test_callbacks_come_from_wecom_only(shop: Shop, connection: str) -> None:
    refused = _siyu("callbacks", connection)
    assert refused.exit_code == 2
    assert f"{connection} is no connection of type wecom" in _one_line(refused.output)


def test_a_retraction_says_what_else_it_takes_out_or_why_it_refuses(
    shop: Shop, tmp_path: Path
) -> None:
    settings = Settings.from_env()
    file = tmp_path / "roster" / "more.csv"
    file.write_text((tmp_path / "roster" / "monday.csv").read_text("utf-8") + "s9,\n", "utf-8")
    land_entity(settings, load_retailer(settings), "staff", "run", datetime.now(UTC))
    first, second = (batch.batch_id for batch in Lake(shop.paths).manifests("staff"))
    content = file.read_bytes()
    file.unlink()
    refused = _siyu("batch", "retract", first)
    assert refused.exit_code == 2
    assert f"{second} (2 rows dropped; gone: more.csv)" in _one_line(refused.output)
    file.write_bytes(content)
    done = _siyu("batch", "retract", first)
    assert done.exit_code == 0, done.output
    assert f"to land again as it had dropped repeats: {second}" in _one_line(done.output)


@pytest.mark.parametrize("command", ["retract", "restore"])
def test_a_batch_is_taken_out_or_let_in_only_when_no_run_writes(shop: Shop, command: str) -> None:
    (batch,) = Lake(shop.paths).manifests("staff")
    with FileLock(shop.paths.lock):
        refused = _siyu("batch", command, batch.batch_id)
    assert refused.exit_code == 2
    assert "another run of corner_shop is writing" in _one_line(refused.output)
