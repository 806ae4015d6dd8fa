"""The vault: keys, normal forms, tokens, sealing, rotation, destruction."""

import base64
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siyu.paths import Paths
from siyu.vault import (
    Keys,
    Vault,
    VaultError,
    junk_tokens,
    load_keys,
    normalise,
    seal,
    token,
    unseal,
)

NOW = datetime(2026, 6, 30, tzinfo=UTC)
KEYS = Keys(b"t" * 32, b"w" * 32)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path, "shop")


def kept(vault: Vault, phone: str) -> str:
    """Store a phone; its token."""
    (found,) = vault.tokenise("phone", [phone], "CN")
    vault.store("phone", [found], NOW)
    return found.token


@pytest.mark.parametrize(("kind", "said", "form"), [
    ("phone", " 139 2647-1580 ", "+8613926471580"),
    ("phone", "+86 139 2647 1580", "+8613926471580"),
    ("phone", "１３９２６４７１５８０", "+8613926471580"),
    ("phone", "+44 20 7946 0958", "+442079460958"),
    ("phone", " not a phone ", "not a phone"),
    ("email", " Li.Na@Shop.CN ", "li.na@shop.cn"),
    ("name", " 张　 伟 ", "张 伟"),
    ("address", "文三路\t90  号", "文三路 90 号"),
    ("birth_date", "1987-03-09", "1987-03-09"),
])  # fmt: skip
def test_values_that_mean_the_same_get_one_form(kind: str, said: str, form: str) -> None:
    assert normalise(kind, said, "CN") == form  # type: ignore[arg-type]  # parametrised


@given(st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True))
def test_the_short_way_for_chinese_mobiles_agrees_with_the_library(phone: str) -> None:
    parsed = phonenumbers.parse(phone, "CN")
    expected = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    assert normalise("phone", phone, "CN") == expected


@given(st.text())
def test_normalising_twice_changes_nothing(value: str) -> None:
    for kind in ("phone", "email", "name", "address"):
        once = normalise(kind, value, "CN")
        assert normalise(kind, once, "CN") == once


def test_tokens_differ_by_kind_key_and_value() -> None:
    said = {
        token(b"k" * 32, "phone", "1"), token(b"k" * 32, "email", "1"),
        token(b"x" * 32, "phone", "1"), token(b"k" * 32, "phone", "2"),
    }  # fmt: skip
    assert len(said) == 4
    assert token(b"k" * 32, "phone", "1").startswith("phone:")
    assert all(len(name.partition(":")[2]) == 32 for name in said)


def test_keys_are_made_once_and_only_for_their_owner(paths: Paths) -> None:
    first = load_keys(paths, {})
    assert load_keys(paths, {}) == first
    assert len(first.token) == len(first.wrapping) == 32
    assert stat.S_IMODE(paths.keys.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in paths.keys.iterdir()} == {0o600}


def test_keys_from_the_environment_come_first_and_touch_no_file(paths: Paths) -> None:
    said = {name: base64.b64encode(os.urandom(32)).decode()
            for name in ("SIYU_TOKEN_KEY", "SIYU_WRAPPING_KEY")}  # fmt: skip
    assert load_keys(paths, said).token == base64.b64decode(said["SIYU_TOKEN_KEY"])
    assert not paths.keys.exists()


def test_a_bad_key_is_refused_without_being_shown(paths: Paths) -> None:
    with pytest.raises(VaultError, match="SIYU_TOKEN_KEY: not 32 bytes") as caught:
        load_keys(paths, {"SIYU_TOKEN_KEY": "c2VjcmV0"})
    assert "c2VjcmV0" not in str(caught.value)
    assert "secret" not in repr(KEYS).replace("Keys", "")


def test_a_key_that_others_may_read_is_refused(paths: Paths) -> None:
    load_keys(paths, {})
    (paths.keys / "token.key").chmod(0o644)
    with pytest.raises(VaultError, match="chmod 600"):
        load_keys(paths, {})


def test_what_was_stored_can_be_revealed_and_only_with_the_key(paths: Paths) -> None:
    name = kept(Vault(paths, KEYS), "13926471580")
    assert Vault(paths, KEYS).reveal(name) == "+8613926471580"
    with pytest.raises(VaultError, match="wrong wrapping key"):
        Vault(paths, Keys(KEYS.token, b"x" * 32)).reveal(name)


def test_many_are_revealed_at_once_and_what_is_not_kept_is_left_out(paths: Paths) -> None:
    vault = Vault(paths, KEYS)
    one, other = kept(vault, "13926471580"), kept(vault, "13926471581")

    assert vault.reveal_all([one, other, one, "phone:unknown"]) == {
        one: "+8613926471580", other: "+8613926471581",
    }  # fmt: skip


def test_the_file_is_private_and_holds_nothing_in_clear(paths: Paths) -> None:
    kept(Vault(paths, KEYS), "13926471580")
    assert stat.S_IMODE(paths.vault.stat().st_mode) == 0o600
    assert b"13926471580" not in paths.vault.read_bytes()


def test_storing_again_changes_nothing(paths: Paths) -> None:
    vault = Vault(paths, KEYS)
    kept(vault, "13926471580")
    before = paths.vault.read_bytes()
    (same,) = vault.tokenise("phone", ["+86 139 2647 1580"], "CN")
    assert vault.store("phone", [same], NOW) == 0
    assert paths.vault.read_bytes() == before


def test_a_destroyed_value_is_gone_from_the_file(paths: Paths) -> None:
    vault = Vault(paths, KEYS)
    name = kept(vault, "13926471580")
    assert vault.destroy(name)
    assert vault.reveal(name) is None
    assert not vault.destroy(name)
    assert name.encode() not in paths.vault.read_bytes()


def test_a_rotated_key_opens_what_the_old_one_sealed(paths: Paths) -> None:
    vault = Vault.of(paths)
    name = kept(vault, "13926471580")
    key = vault.new_batch_key("b1", NOW)
    old = load_keys(paths)
    vault.rotate(b"n" * 32)
    for reader in (vault, Vault.of(paths)):
        assert reader.reveal(name) == "+8613926471580"
        assert reader.batch_key("b1") == key
    with pytest.raises(VaultError):
        Vault(paths, old).reveal(name)
    assert load_keys(paths).token == old.token


def test_a_rotation_killed_before_the_vault_was_wrapped_is_forgotten(paths: Paths) -> None:
    name = kept(Vault.of(paths), "13926471580")
    next_key = paths.keys / "wrapping.next"
    next_key.write_bytes(base64.b64encode(b"n" * 32))
    assert Vault.of(paths).reveal(name) == "+8613926471580"
    assert not next_key.exists()


def test_a_rotation_killed_after_the_vault_was_wrapped_is_finished(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = kept(Vault.of(paths), "13926471580")
    with monkeypatch.context() as patched:
        patched.setattr("siyu.vault._finish_rotation", lambda _: None)
        Vault.of(paths).rotate(b"n" * 32)
    assert (paths.keys / "wrapping.next").exists()
    assert Vault.of(paths).reveal(name) == "+8613926471580"


def test_sealed_bytes_are_bound_to_their_context() -> None:
    sealed = seal(b"k" * 32, b"plain", b"here")
    assert unseal(b"k" * 32, sealed, b"here") == b"plain"
    with pytest.raises(VaultError):
        unseal(b"k" * 32, sealed, b"there")


def test_a_missing_batch_key_is_said_to_be_destroyed(paths: Paths) -> None:
    with pytest.raises(VaultError, match="were destroyed"):
        Vault(paths, KEYS).batch_key("b1")


@pytest.mark.parametrize("phone", ["00000000000", "13800138000", "12345678901", "11111111111"])
def test_known_junk_phones_have_their_tokens_listed(paths: Paths, phone: str) -> None:
    (found,) = Vault.of(paths).tokenise("phone", [phone], "CN")
    assert found.token in junk_tokens(paths, "phone")


def test_an_ordinary_phone_is_no_junk(paths: Paths) -> None:
    (found,) = Vault.of(paths).tokenise("phone", ["13926471580"], "CN")
    assert found.token not in junk_tokens(paths, "phone")
