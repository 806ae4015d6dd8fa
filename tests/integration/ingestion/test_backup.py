"""A backup put into an empty home holds the same, and opens only with the keys of the old one."""

import shutil
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest
from filelock import FileLock
from made_up_shop import MEMBERS, MEMBERS_CSV, Shop

from siyu.backup import BackupError, back_up, restore
from siyu.ingestion import open_quarantine
from siyu.ingestion.drift import open_aside
from siyu.lake import Lake
from siyu.paths import Paths
from siyu.tombstones import IDENTIFIER, Tombstones, bury
from siyu.vault import Vault
from siyu.warehouse import WarehouseBusy

NOW = datetime(2026, 6, 30, 4, 0, tzinfo=UTC)
PHONE = "13912345678"


@pytest.fixture
def full(shop: Shop) -> Shop:
    """A home in which members have landed, one of them in quarantine."""
    shop.input("crm", **MEMBERS_CSV)
    shop.mapping("members", MEMBERS)
    shop.entity("members", max_quarantined_share=1)
    shop.write(
        "crm/members.csv",
        "id,phone,email,name,birth,address,updated\n"
        f"1,{PHONE},a@b.cn,王芳,1990-05-01,上海,2026-06-01 10:00:00\n"
        "2,13912345679,b@b.cn,李雷,not a day,上海,2026-06-01 10:00:00\n",
    )
    shop.land("members")
    # A column that nobody has declared.
    shop.write(
        "crm/more.csv",
        "id,phone,email,name,birth,address,updated,shoes\n"
        "3,13912345670,c@b.cn,韩梅,1990-05-01,上海,2026-06-02 10:00:00,38\n",
    )
    shop.land("members")
    Lake(shop.paths).note_complete("crm", date(2026, 6, 2))
    bury(shop.paths, "request", {IDENTIFIER: ["crm:9"]}, NOW)
    return shop


def rows(paths: Paths) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        found = connection.execute(f"{Lake(paths).query('members')} ORDER BY ALL").fetchall()
    return [tuple(row) for row in found]


def elsewhere(shop: Shop, folder: Path) -> Paths:
    return Paths(folder, shop.settings.retailer)


def test_what_is_restored_is_what_was_backed_up(full: Shop, tmp_path: Path) -> None:
    made = back_up(full.paths, tmp_path / "backups", tmp_path / "keys", NOW)
    home = elsewhere(full, tmp_path / "elsewhere")
    restored = restore(made.folder, home, tmp_path / "keys")
    assert restored == made
    assert rows(home) == rows(full.paths) != []
    batch, more = Lake(home).manifests("members")
    assert Lake(full.paths).manifests("members") == [batch, more]
    held = open_quarantine(replace(full.settings, home=home.home), batch.batch_id)
    assert held == open_quarantine(full.settings, batch.batch_id) != []
    assert open_aside(home, more.batch_id) == open_aside(full.paths, more.batch_id) != []
    assert (home.complete / "crm").read_text() == "2026-06-02"
    assert Tombstones.of(home).covers(IDENTIFIER, "crm:9")
    assert not Tombstones.of(home).covers(IDENTIFIER, "crm:1")
    (phone,) = Vault.of(full.paths).tokenise("phone", [PHONE], "CN")
    assert Vault.of(home).reveal(phone.token) == f"+86{PHONE}"
    assert home.keys.stat().st_mode & 0o077 == 0


def test_a_landing_after_a_restore_finds_everything_landed(full: Shop, tmp_path: Path) -> None:
    made = back_up(full.paths, tmp_path / "backups", tmp_path / "keys", NOW)
    shutil.rmtree(full.paths.root)
    restore(made.folder, full.paths, tmp_path / "keys")
    assert {report.outcome for report in full.land("members")} == {"unchanged"}


def test_no_direct_identifier_and_no_key_is_in_a_backup(full: Shop, tmp_path: Path) -> None:
    made = back_up(full.paths, tmp_path / "backups", tmp_path / "keys", NOW)
    held = b"".join(file.read_bytes() for file in made.folder.rglob("*") if file.is_file())
    keys = [file.read_bytes() for file in full.paths.keys.iterdir()]
    assert keys
    for secret in (PHONE.encode(), "王芳".encode(), *keys):
        assert secret not in held


def test_other_keys_restore_nothing(full: Shop, tmp_path: Path) -> None:
    made = back_up(full.paths, tmp_path / "backups", None, NOW)
    home = elsewhere(full, tmp_path / "elsewhere")
    with pytest.raises(BackupError, match="keys are not those of this backup"):
        restore(made.folder, home, None)
    assert not home.root.exists()


def test_a_changed_file_restores_nothing_and_is_named(full: Shop, tmp_path: Path) -> None:
    made = back_up(full.paths, tmp_path / "backups", tmp_path / "keys", NOW)
    parquet, _ = sorted((made.folder / "lake" / "members").rglob("*.parquet"))
    parquet.write_bytes(parquet.read_bytes() + b"x")
    home = elsewhere(full, tmp_path / "elsewhere")
    with pytest.raises(BackupError, match=rf"1 files are missing or changed.*{parquet.name}"):
        restore(made.folder, home, tmp_path / "keys")
    assert not home.root.exists()


def test_nothing_is_restored_over_what_is_there(full: Shop, tmp_path: Path) -> None:
    made = back_up(full.paths, tmp_path / "backups", tmp_path / "keys", NOW)
    before = rows(full.paths)
    with pytest.raises(BackupError, match="is not empty"):
        restore(made.folder, full.paths, tmp_path / "keys")
    assert rows(full.paths) == before


def test_a_restore_killed_between_its_two_folders_is_ended_by_the_next(
    full: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full.paths.mlflow.mkdir()
    (full.paths.mlflow / "model").write_text("a model")
    made = back_up(full.paths, tmp_path / "backups", tmp_path / "keys", NOW)
    home = elsewhere(full, tmp_path / "elsewhere")
    move = Path.replace

    def killed_before_the_second(self: Path, target: Path) -> Path:
        if target == home.root:
            raise KeyboardInterrupt
        return move(self, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", killed_before_the_second)
        restore(made.folder, home, tmp_path / "keys")
    assert home.mlflow.exists()
    assert not home.root.exists()
    assert restore(made.folder, home, tmp_path / "keys") == made
    assert rows(home) == rows(full.paths) != []
    assert (home.mlflow / "model").read_text() == "a model"
    assert [place.name for place in home.home.iterdir() if place.name.startswith(".")] == []


def test_keys_are_never_put_beside_what_they_open(full: Shop, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="apart"):
        back_up(full.paths, tmp_path / "backups", tmp_path / "backups" / "keys", NOW)


def test_no_backup_is_made_while_a_run_writes(full: Shop, tmp_path: Path) -> None:
    # Another lock object on the same file is what another process would have.
    with FileLock(full.paths.lock), pytest.raises(WarehouseBusy):
        back_up(full.paths, tmp_path / "backups", None, NOW)
    assert not [*tmp_path.glob("backups/[!.]*")]


def test_a_home_without_anything_is_not_backed_up(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="nothing has landed"):
        back_up(Paths(tmp_path / "elsewhere", "shop"), tmp_path / "backups", None, NOW)
