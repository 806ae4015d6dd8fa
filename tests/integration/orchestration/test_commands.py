"""The small commands: they do what they say, say in one line what is wrong, and then exit with 2."""

from __future__ import annotations

import base64
import shutil
import sqlite3
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from connected_shop import Shop, make_shop
from filelock import FileLock
from typer.testing import CliRunner, Result

from siyu import cli, dictionary, transform
from siyu.audit import AuditLog
from siyu.cli import app
from siyu.config import Settings
from siyu.ingestion import land_entity
from siyu.lake import Lake
from siyu.paths import Paths
from siyu.retailer import load_retailer
from siyu.vault import Vault, load_keys


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


def test_the_audit_log_of_a_restored_backup_is_cut_off_against_a_later_head(
    shop: Shop, tmp_path: Path
) -> None:
    log = AuditLog.of(shop.paths)
    log.append("publication", "folder-1", {}, datetime.now(UTC))
    _siyu("backup", tmp_path / "backups", "--keys", tmp_path / "usb")
    log.append("erasure", "request-1", {}, datetime.now(UTC))
    head = tmp_path / "head.json"
    head.write_text(_siyu("audit", "head").output, "utf-8")
    assert _siyu("audit", "verify", "--head", head).exit_code == 0
    shutil.rmtree(shop.paths.home)
    (folder,) = (tmp_path / "backups").iterdir()

    restored = _siyu("restore", folder, "--keys", tmp_path / "usb")
    assert "audit log ends with entry 1." in restored.output
    assert "publication    folder-1" in _siyu("audit", "list").output
    assert _siyu("audit", "verify").exit_code == 0
    told = _siyu("audit", "verify", "--head", head)
    assert told.exit_code == 1
    assert "entry 2: truncated" in told.output
    assert "a backup from before was restored" in told.output


def test_what_was_done_to_the_audit_log_is_named(shop: Shop, tmp_path: Path) -> None:
    for number in range(3):
        AuditLog.of(shop.paths).append("publication", f"folder-{number}", {}, datetime.now(UTC))
    with sqlite3.connect(shop.paths.audit) as connection:
        connection.execute("UPDATE entry SET reference = 'other' WHERE sequence = 2")
    told = _siyu("audit", "verify")
    assert told.exit_code == 1
    assert told.output == ("entry 2: edited: its content is not what its hash was made of\n")
    assert _siyu("audit", "verify", "--head", tmp_path / "none.json").exit_code == 2


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


# --- batches -----------------------------------------------------------------------------------


def _batch(shop: Shop) -> str:
    (manifest,) = Lake(shop.paths).manifests("staff")
    return manifest.batch_id


def test_the_batches_of_an_entity_are_listed_with_their_rows(shop: Shop) -> None:
    (manifest,) = Lake(shop.paths).manifests("staff")
    listed = _siyu("batch", "list", "staff")
    assert listed.exit_code == 0, listed.output
    assert listed.output.split()[:4] == [
        manifest.batch_id, "roster", str(manifest.accepted), "accepted",
    ]  # fmt: skip


def test_that_an_entity_has_no_batch_is_said(shop: Shop) -> None:
    assert _siyu("batch", "list", "orders").output == "no batch of orders is in force\n"


def test_an_entity_that_there_is_not_is_refused(shop: Shop) -> None:
    refused = _siyu("batch", "list", "ordrs")
    assert refused.exit_code == 2
    assert "no contract for 'ordrs'; known: assignments, " in _one_line(refused.output)


def test_a_batch_is_retracted_and_restored_by_its_id(shop: Shop) -> None:
    batch = _batch(shop)
    retracted = _siyu("batch", "retract", batch)
    assert retracted.exit_code == 0, retracted.output
    assert Lake(shop.paths).manifests("staff") == []

    restored = _siyu("batch", "restore", batch)
    assert restored.exit_code == 0, restored.output
    settings = Settings.from_env()
    land_entity(settings, load_retailer(settings), "staff", "run", datetime.now(UTC))
    assert _batch(shop) == batch


@pytest.mark.parametrize("command", ["retract", "restore"])
def test_a_batch_that_there_is_not_is_refused(shop: Shop, command: str) -> None:
    refused = _siyu("batch", command, "nothing")
    assert refused.exit_code == 2
    assert "no batch nothing is" in _one_line(refused.output)


@pytest.mark.parametrize(
    "command",
    [("status",), ("summary",), ("ui",), ("batch", "list", "staff"), ("batch", "retract", "b"),
     ("quarantine", "list"), ("vault", "rotate")],
    ids=" ".join,
)  # fmt: skip
def test_a_retailer_that_there_is_not_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SIYU_HOME", str(tmp_path))
    monkeypatch.setenv("SIYU_RETAILER", "nobody")
    refused = _siyu(*command)
    assert refused.exit_code == 2
    assert "nobody/retailer.yaml: no such file" in "".join(refused.output.split("\n"))


def test_status_of_a_home_without_a_run_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIYU_HOME", str(tmp_path))
    monkeypatch.setenv("SIYU_RETAILER", "demo")
    said = _siyu("status")
    assert said.exit_code == 0
    assert said.output == "Published: nothing yet\nBlocked: nothing\n"


# --- the simulator -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["10", "huge"])
@pytest.mark.parametrize("command", [("simulate", "new"), ("demo",)], ids=" ".join)
def test_a_size_that_cannot_be_simulated_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], size: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIYU_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SIYU_RETAILER", "demo")
    refused = _siyu(*command, "--size", size)
    assert refused.exit_code == 2, refused.output
    assert size in refused.output
    assert not (tmp_path / "new").exists()


def test_a_simulation_is_not_written_among_other_files(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine", "utf-8")
    refused = _siyu("simulate", tmp_path, "--size", "tiny")
    assert refused.exit_code == 2
    assert [file.name for file in tmp_path.iterdir()] == ["letters.txt"]


def test_a_demo_says_that_source_files_that_are_there_are_used_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIYU_HOME", str(tmp_path))
    monkeypatch.setenv("SIYU_RETAILER", "demo")
    monkeypatch.setattr(cli, "_job", lambda _: 1)
    (tmp_path / "demo" / "sources").mkdir(parents=True)
    said = _siyu("demo", "--size", "tiny", "--seed", "8")
    assert said.exit_code == 1
    assert "are there already" in said.output
    assert "--size and --seed change nothing" in said.output
    keys = tmp_path / "demo" / "keys"
    assert f"keys to its vault are in {keys} (0600): token.key, wrapping.key" in said.output
    assert [key.stat().st_mode & 0o077 for key in keys.iterdir()] == [0, 0]


# --- files that are generated ------------------------------------------------------------------


def test_generating_writes_the_files_that_are_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = list(transform.generated())
    # Other tests read the committed files meanwhile.
    monkeypatch.setattr(transform, "PROJECT", tmp_path)
    monkeypatch.setattr(dictionary, "write", partial(dictionary.write, file=tmp_path / "page.md"))
    written = [*transform.generated(), tmp_path / "page.md"]
    for file in written:
        file.parent.mkdir(parents=True, exist_ok=True)
    said = _siyu("generate")
    assert said.exit_code == 0, said.output
    assert said.output.split("\n") == [*(f"wrote {file}" for file in written), ""]
    for file, made in zip((*committed, dictionary.FILE), written, strict=True):
        assert made.read_bytes() == file.read_bytes()


# --- the wrapping key --------------------------------------------------------------------------


def test_rotation_makes_a_new_key_that_opens_the_vault(shop: Shop) -> None:
    before = load_keys(shop.paths)
    rotated = _siyu("vault", "rotate")
    assert rotated.exit_code == 0, rotated.output
    after = load_keys(shop.paths)
    assert (after.token, after.wrapping != before.wrapping) == (before.token, True)
    batch = _batch(shop)
    key = Vault.of(shop.paths).new_batch_key(batch, datetime.now(UTC))
    assert Vault.of(shop.paths).batch_key(batch) == key


def test_a_key_from_the_environment_is_rotated_to_one_that_is_named(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = base64.b64encode(load_keys(shop.paths).wrapping).decode()
    new = base64.b64encode(b"n" * 32).decode()
    monkeypatch.setenv("SIYU_WRAPPING_KEY", old)
    refused = _siyu("vault", "rotate")
    assert refused.exit_code == 2
    assert "set SIYU_NEW_WRAPPING_KEY to the key that takes its place" in _one_line(refused.output)

    monkeypatch.setenv("SIYU_NEW_WRAPPING_KEY", new)
    rotated = _siyu("vault", "rotate")
    assert rotated.exit_code == 0, rotated.output
    assert "Now set SIYU_WRAPPING_KEY to the new key" in _one_line(rotated.output)
    assert new not in rotated.output
    monkeypatch.delenv("SIYU_WRAPPING_KEY")
    assert load_keys(shop.paths).wrapping == b"n" * 32


def test_rotation_waits_for_no_run(shop: Shop) -> None:
    with FileLock(shop.paths.lock):
        refused = _siyu("vault", "rotate")
    assert refused.exit_code == 2
    assert "another run of corner_shop is writing" in _one_line(refused.output)
