"""Direct identifiers: how they become tokens, and the encrypted place where their values stay.

A phone, e-mail, name, address or birth date never enters the lake in clear. It is normalised and
replaced by a token: an HMAC under the *token key*, so that equal values give equal tokens and joins
work. The value goes to the vault, encrypted under a data key of its own, which is wrapped by the
*wrapping key*. The token key never changes; the wrapping key can be rotated.

What belongs here: keys, normalisers, tokens, sealing and the vault file. What does not: which
columns are direct (``siyu.contracts``), or who may ask for a value.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import sqlite3
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import phonenumbers
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from siyu.contracts.model import DirectKind
from siyu.paths import Paths

# Part of every token: a normaliser that changes makes other tokens, so it gets a new number.
NORMALISER_VERSION = 1

_KEY_BYTES = 32
_NONCE_BYTES = 12
_TOKEN_KEY = "SIYU_TOKEN_KEY"  # noqa: S105 - the name of a variable, not a secret
_WRAPPING_KEY = "SIYU_WRAPPING_KEY"
_NEW_WRAPPING_KEY = "SIYU_NEW_WRAPPING_KEY"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS value (
    token TEXT PRIMARY KEY, kind TEXT NOT NULL, normaliser_version INTEGER NOT NULL,
    sealed BLOB NOT NULL, wrapped_key BLOB NOT NULL, first_seen TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batch_key (
    batch_id TEXT PRIMARY KEY, wrapped_key BLOB NOT NULL, first_seen TEXT NOT NULL);
"""


class VaultError(Exception):
    """A key or a value cannot be used; the message never holds either."""


@dataclass(frozen=True)
class Keys:
    """The two keys, 32 bytes each.

    Attributes:
        token: Makes tokens; never changes.
        wrapping: Wraps data keys; may be rotated.
    """

    token: bytes
    wrapping: bytes

    def __repr__(self) -> str:
        return "Keys(…)"


def load_keys(paths: Paths, env: Mapping[str, str] | None = None) -> Keys:
    """The keys from the environment, else from files (0600) that are made on first use.

    Raises:
        VaultError: a key is not 32 bytes of base64, or its file may be read by others.
    """
    env = os.environ if env is None else env
    _finish_rotation(paths)
    return Keys(
        _key(env.get(_TOKEN_KEY), _TOKEN_KEY, paths.keys / "token.key"),
        _key(env.get(_WRAPPING_KEY), _WRAPPING_KEY, paths.keys / "wrapping.key"),
    )


def new_wrapping_key(env: Mapping[str, str] | None = None) -> bytes:
    """The key to rotate to: from the environment, or a fresh one where the one in use is a file.

    Raises:
        VaultError: none is given while the one in use is, or it is not 32 bytes of base64.
    """
    env = os.environ if env is None else env
    said = env.get(_NEW_WRAPPING_KEY)
    if said:
        return _decoded(said, _NEW_WRAPPING_KEY)
    if env.get(_WRAPPING_KEY):
        raise VaultError(
            f"{_WRAPPING_KEY} is set, so set {_NEW_WRAPPING_KEY} to the key that takes its place"
        )
    return secrets.token_bytes(_KEY_BYTES)


def _key(said: str | None, variable: str, file: Path) -> bytes:
    if said:
        return _decoded(said, variable)
    if not file.exists():
        _write_key(file, secrets.token_bytes(_KEY_BYTES))
    if file.stat().st_mode & 0o077:
        raise VaultError(f"{file}: others may read this key; run chmod 600 on it")
    return _decoded(file.read_text("ascii").strip(), str(file))


def _decoded(said: str, where: str) -> bytes:
    try:
        key = base64.b64decode(said, validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise VaultError(f"{where}: not {_KEY_BYTES} bytes in base64; make one with "
                         "python -c 'import os,base64;print(base64.b64encode(os.urandom(32)).decode())'")  # fmt: skip
    return key


def _write_key(file: Path, key: bytes) -> None:
    """Write a key so that a killed process leaves either none or a whole one."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file.parent.chmod(0o700)
    partial = file.with_suffix(f".{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(base64.b64encode(key))
        opened.flush()
        os.fsync(opened.fileno())
    try:
        # A link fails where the file exists: two first uses at once agree on one key.
        os.link(partial, file)
    except FileExistsError:
        pass
    finally:
        partial.unlink()


# --- normalisers -----------------------------------------------------------------------------

# 179 is left to the library, which knows it for the prefix of a carrier.
_CHINESE_MOBILE = re.compile(r"1(?:[3-689]\d|7[0-8])\d{8}", re.ASCII)
_SPACES = re.compile(r"\s+")


def normalise(kind: DirectKind, value: str, phone_region: str) -> str:
    """One form for values that mean the same.

    Args:
        kind: What the value is.
        value: As the source gives it; a birth date in ISO form.
        phone_region: Region of phones without a prefix, such as ``CN``.

    Returns:
        Phones in E.164, or their stripped text when they are none; e-mails in lower case; names and
        addresses in NFKC with single spaces; birth dates as they are.
    """
    return _NORMALISERS[kind](value, phone_region)


def _phone(value: str, region: str) -> str:
    text = _folded(value, region)
    if region == "CN" and _CHINESE_MOBILE.fullmatch(text):
        return f"+86{text}"  # what the library says too, a hundred times faster
    try:
        return phonenumbers.format_number(
            phonenumbers.parse(text, region), phonenumbers.PhoneNumberFormat.E164
        )
    except phonenumbers.NumberParseException:
        return text


def _folded(value: str, _region: str) -> str:
    return _SPACES.sub(" ", unicodedata.normalize("NFKC", value)).strip()


def _email(value: str, _region: str) -> str:
    return unicodedata.normalize("NFKC", value).strip().lower()


def _birth_date(value: str, _region: str) -> str:
    return date.fromisoformat(value.strip()).isoformat()


_NORMALISERS: dict[DirectKind, Callable[[str, str], str]] = {
    "phone": _phone,
    "email": _email,
    "name": _folded,
    "address": _folded,
    "birth_date": _birth_date,
}

# Values that people and tills type in place of a real one. They are tokenised like any other, and
# whoever joins by token asks for the tokens of this list.
_REPEATED = tuple(str(digit) * length for digit in range(10) for length in range(1, 16))
_JUNK: dict[DirectKind, tuple[str, ...]] = {
    "phone": (
        *_REPEATED,
        *(f"1{digit * 10}" for digit in "0123456789"),
        *(f"1{second}{digit * 9}" for second in "3456789" for digit in "0123456789"),
        "12345678", "123456789", "1234567890", "12345678901", "12345678910", "13123456789",
        "13012345678", "13112345678", "13212345678", "13312345678", "13412345678", "13512345678",
        "13612345678", "13712345678", "13812345678", "13912345678", "15012345678", "15812345678",
        "17712345678", "18812345678", "18912345678", "98765432100", "13987654321", "19876543210",
        # Numbers of operators, used in manuals and by testers.
        "13800138000", "13800100500", "10086", "10000", "10010", "10001", "12306", "12315", "12345",
        "4000000000", "4008000000", "4008888888", "8008208820", "4001234567",
        "02000000000", "02100000000", "01000000000", "075500000000", "01012345678", "02112345678",
    ),
    "email": (
        "null@null.com", "none@none.com", "test@test.com", "a@a.com", "no@email.com",
        "noemail@noemail.com", "123@123.com", "123@qq.com", "123456@qq.com", "test@qq.com",
        "example@example.com", "user@example.com", "n/a", "na", "none", "null",
    ),
    "name": (),
    "address": (),
    "birth_date": ("1900-01-01", "1970-01-01", "1899-12-30", "1990-01-01", "2000-01-01"),
}  # fmt: skip


def token(token_key: bytes, kind: DirectKind, normalised: str) -> str:
    """The token of a normalised value: ``<kind>:`` and 32 hex digits."""
    said = f"{kind}\x1f{NORMALISER_VERSION}\x1f{normalised}".encode()
    return f"{kind}:{hmac.digest(token_key, said, 'sha256').hex()[:32]}"


def junk_tokens(paths: Paths, kind: DirectKind, phone_region: str = "CN") -> frozenset[str]:
    """Tokens of values known to belong to nobody: test numbers, repeated digits, switchboards."""
    keys = load_keys(paths)
    return frozenset(
        token(keys.token, kind, normalise(kind, value, phone_region)) for value in _JUNK[kind]
    )


# --- sealing ---------------------------------------------------------------------------------


def seal(key: bytes, plain: bytes, context: bytes) -> bytes:
    """Encrypt with AES-GCM: a fresh nonce, then the sealed bytes. ``context`` must match later."""
    return _seal(AESGCM(key), plain, context)


def _seal(cipher: AESGCM, plain: bytes, context: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, plain, context)


def _sealed(wrapping: AESGCM, name: str, form: str) -> tuple[bytes, bytes]:
    """A value under a data key of its own, and that key under the wrapping key."""
    data_key, context = os.urandom(_KEY_BYTES), name.encode()
    return _seal(AESGCM(data_key), form.encode(), context), _seal(wrapping, data_key, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Undo ``seal``.

    Raises:
        VaultError: wrong key, wrong context, or changed bytes.
    """
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)
    except InvalidTag:
        raise VaultError(
            "cannot be opened: wrong wrapping key, or the bytes were changed"
        ) from None


@dataclass(frozen=True)
class Tokenised:
    """A value as given, its normal form and its token."""

    value: str
    normalised: str
    token: str

    def __repr__(self) -> str:
        return f"Tokenised({self.token})"


class Vault:
    """Encrypted values by token, in one SQLite file that only its owner may read.

    A destroyed value is gone from the file, not only from the index: SQLite overwrites what it
    deletes (``secure_delete``).
    """

    def __init__(self, paths: Paths, keys: Keys) -> None:
        self._paths = paths
        self._keys = keys

    @staticmethod
    def of(paths: Paths) -> Vault:
        """The vault of a retailer, with its keys."""
        return Vault(paths, load_keys(paths))

    def tokenise(
        self, kind: DirectKind, values: Iterable[str], phone_region: str
    ) -> list[Tokenised]:
        """The token of each value; stores nothing."""
        key = self._keys.token
        normalised = ((value, normalise(kind, value, phone_region)) for value in values)
        return [Tokenised(value, form, token(key, kind, form)) for value, form in normalised]

    def store(self, kind: DirectKind, values: Iterable[Tokenised], now: datetime) -> int:
        """Keep values that are not kept yet.

        Returns:
            How many were new.
        """
        forms = {found.token: found.normalised for found in values}
        with self._connect() as connection:
            known = _present(connection, list(forms))
            wrapping, first_seen = AESGCM(self._keys.wrapping), now.isoformat()
            rows = (
                (name, kind, NORMALISER_VERSION, *_sealed(wrapping, name, forms[name]), first_seen)
                # In the table's order, so that SQLite fills one page after the other.
                for name in sorted(forms.keys() - known)
            )
            connection.executemany("INSERT OR IGNORE INTO value VALUES (?, ?, ?, ?, ?, ?)", rows)
        return len(forms) - len(known)

    def reveal(self, token: str) -> str | None:
        """The normalised value behind a token, or None when it is not kept (any more).

        Raises:
            VaultError: the wrapping key is not the one it was stored under.
        """
        return self.reveal_all([token]).get(token)

    def reveal_all(self, tokens: Collection[str]) -> dict[str, str]:
        """The normalised value behind each token, of those that are kept.

        Raises:
            VaultError: the wrapping key is not the one they were stored under.
        """
        with self._connect() as connection, _asked(connection, tokens):
            rows = connection.execute(
                "SELECT token, sealed, wrapped_key FROM asked JOIN value USING (token)"
            ).fetchall()
        revealed = {}
        for name, sealed, wrapped_key in rows:
            data_key = unseal(self._keys.wrapping, wrapped_key, name.encode())
            revealed[name] = unseal(data_key, sealed, name.encode()).decode()
        return revealed

    def destroy(self, *tokens: str) -> int:
        """Remove values for good, with their keys; says how many there were."""
        with self._connect() as connection:
            gone = sum(
                connection.execute("DELETE FROM value WHERE token = ?", (token,)).rowcount
                for token in tokens
            )
        self._release_pages()
        return gone

    def destroy_batch_key(self, batch_id: str) -> bool:
        """Remove a data key for good, so that nothing opens what it sealed; whether there was one."""
        with self._connect() as connection:
            found = connection.execute("DELETE FROM batch_key WHERE batch_id = ?", (batch_id,))
        return found.rowcount > 0

    def _release_pages(self) -> None:
        """Write the file anew without the pages that are free."""
        with closing(sqlite3.connect(self._paths.vault, timeout=30)) as connection:
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("VACUUM")

    def new_batch_key(self, batch_id: str, now: datetime) -> bytes:
        """The data key that seals a batch's quarantined rows; the same when asked again."""
        fresh = seal(self._keys.wrapping, secrets.token_bytes(_KEY_BYTES), batch_id.encode())
        with self._connect() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO batch_key VALUES (?, ?, ?)",
                (batch_id, fresh, now.isoformat()),
            )
        return self.batch_key(batch_id)

    def batch_key(self, batch_id: str) -> bytes:
        """The data key of a batch.

        Raises:
            VaultError: there is none, or it was wrapped under another key.
        """
        with self._connect() as connection:
            row = connection.execute(
                "SELECT wrapped_key FROM batch_key WHERE batch_id = ?", (batch_id,)
            ).fetchone()
        if row is None:
            raise VaultError(f"no key for batch {batch_id}; its payloads were destroyed")
        return unseal(self._keys.wrapping, row[0], batch_id.encode())

    def rotate(self, new_key: bytes) -> None:
        """Wrap every data key anew; the values themselves are not touched.

        Where the wrapping key is a file, the file is replaced; where it comes from the environment,
        set it to the new key afterwards. Killed in between, the next use finishes or forgets it.

        Raises:
            VaultError: the new key is not 32 bytes.
        """
        if len(new_key) != _KEY_BYTES:
            raise VaultError(f"a wrapping key has {_KEY_BYTES} bytes")
        next_file = self._paths.keys / "wrapping.next"
        next_file.unlink(missing_ok=True)
        _write_key(next_file, new_key)
        with self._connect() as connection:
            for table, key in (("value", "token"), ("batch_key", "batch_id")):
                rows = connection.execute(f"SELECT {key}, wrapped_key FROM {table}").fetchall()
                connection.executemany(
                    f"UPDATE {table} SET wrapped_key = ? WHERE {key} = ?",
                    (
                        (seal(new_key, unseal(self._keys.wrapping, old, n.encode()), n.encode()), n)
                        for n, old in rows
                    ),
                )
            connection.execute("DELETE FROM wrapping")
            connection.execute("INSERT INTO wrapping VALUES (?)", (_fingerprint(new_key),))
        _finish_rotation(self._paths)
        self._keys = Keys(self._keys.token, new_key)

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with _connect(self._paths.vault) as connection:
            yield connection


@contextmanager
def _connect(file: Path) -> Iterator[sqlite3.Connection]:
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
    connection = sqlite3.connect(file, timeout=30)
    try:
        connection.execute("PRAGMA secure_delete = ON")
        connection.executescript(
            _SCHEMA + "CREATE TABLE IF NOT EXISTS wrapping (fingerprint TEXT);"
        )
        with connection:
            yield connection
    finally:
        connection.close()


def _present(connection: sqlite3.Connection, tokens: Collection[str]) -> set[str]:
    with _asked(connection, tokens):
        found = connection.execute("SELECT token FROM asked JOIN value USING (token)").fetchall()
    return {row[0] for row in found}


@contextmanager
def _asked(connection: sqlite3.Connection, tokens: Collection[str]) -> Iterator[None]:
    """Tokens as the temporary table ``asked``, to be joined."""
    connection.execute("CREATE TEMP TABLE asked (token TEXT PRIMARY KEY) WITHOUT ROWID")
    connection.executemany(
        "INSERT INTO asked VALUES (?)", ((name,) for name in sorted(set(tokens)))
    )
    yield
    connection.execute("DROP TABLE asked")


def _fingerprint(key: bytes) -> str:
    return hashlib.sha256(b"siyu wrapping key" + key).hexdigest()


def _finish_rotation(paths: Paths) -> None:
    """Settle a rotation that was cut short: the new key counts once the vault is wrapped by it."""
    next_file = paths.keys / "wrapping.next"
    if not next_file.exists():
        return
    key = _decoded(next_file.read_text("ascii").strip(), str(next_file))
    with _connect(paths.vault) as connection:
        row = connection.execute("SELECT fingerprint FROM wrapping").fetchone()
    if row is not None and row[0] == _fingerprint(key):
        next_file.replace(paths.keys / "wrapping.key")
    else:
        next_file.unlink()
