"""Object storage that speaks S3: every new or changed object becomes one raw file, as it is.

What has been copied is read from the raw files themselves, object by object: each says in its cursor
which version of which key it holds. A watermark of modification times would lose objects, because
storage dates a large upload by its beginning and many at the same second.

What belongs here: listing, deciding what is new, copying. What does not: what is in an object
(``siyu.ingestion.readers``).
"""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from urllib.parse import urlsplit

import fsspec

from siyu.ingestion.connectors.http import is_this_machine
from siyu.ingestion.pull import Ask, Failed, Piece, SourceError, by_itself
from siyu.ingestion.raw import RawFile
from siyu.retailer import ObjectsConnection

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem

# One request fetches so much, and so much is held.
_CHUNK: Final = 8 << 20
_ATTEMPTS: Final = 3
_NAMED: Final = 5
# Storage tells the time of a change to the second, by its own clock: an object that changed this
# shortly before it was copied may change again without looking any different in a list.
_UNSURE: Final = timedelta(minutes=1)

_CODE: Final = re.compile(r"AWS Error (\w+)")
_STATUS: Final = re.compile(r"HTTP status (\d{3})")
_REFUSED: Final = {
    "ACCESS_DENIED",
    "INVALID_ACCESS_KEY_ID",
    "INVALID_CLIENT_TOKEN_ID",
    "INVALID_SIGNATURE",
    "MISSING_AUTHENTICATION_TOKEN",
    "SIGNATURE_DOES_NOT_MATCH",
    "UNRECOGNIZED_CLIENT",
}
_TRANSIENT: Final = {
    "INTERNAL_FAILURE",
    "NETWORK_CONNECTION",
    "REQUEST_EXPIRED",
    "REQUEST_TIMEOUT",
    "REQUEST_TIME_TOO_SKEWED",
    "SERVICE_UNAVAILABLE",
    "SLOW_DOWN",
    "THROTTLING",
}


@dataclass(frozen=True)
class _Object:
    """One object of a list.

    Attributes:
        path: Bucket and key.
        key: Its key, relative to the connection's bucket and prefix.
        size: Its bytes.
        modified: When it last changed (nanoseconds of Unix time).
    """

    path: str
    key: str
    size: int
    modified: int


def pull(
    connection: ObjectsConnection,
    asks: Sequence[Ask],
    now: datetime,  # noqa: ARG001 - every connector is told
) -> Iterator[Piece | Failed]:
    """Copy what is new of every input, in the order in which it changed.

    Args:
        connection: Where the bucket is, with its variables filled in.
        asks: The inputs; the location of each is a glob of keys, ``**`` standing for any folders.
        now: The wall clock (UTC).

    Yields:
        One piece per object. An object that cannot be opened fails its input after the others have
        been copied.

    Raises:
        SourceError: the storage went away while an object was being copied, or objects would travel
            in clear.
    """
    _require_privacy(connection)
    storage = _storage(connection)
    for ask in asks:
        yield from by_itself(ask, _copied(storage, connection, ask))


def _copied(
    storage: S3FileSystem, connection: ObjectsConnection, ask: Ask
) -> Iterator[Piece | Failed]:
    """What is new of one input."""
    before = ask.store.files()
    unread: list[tuple[str, OSError]] = []
    try:
        fresh = _fresh(storage, connection.bucket, ask, before)
    except OSError as error:
        yield Failed(ask.name, _explained(error, connection, f"list {ask.source.location}"))
        return
    for each in fresh:
        try:
            copy = _Copy(storage, connection, each)
        except OSError as error:
            unread.append((each.key, error))
            continue
        yield Piece(ask.name, _suffix(ask, each.key), copy.write, copy.version, origin=each.key)
    if unread:
        named = ", ".join(key for key, _ in unread[:_NAMED])
        more = f" and {len(unread) - _NAMED} more" if len(unread) > _NAMED else ""
        yield Failed(ask.name, _explained(unread[0][1], connection, f"read {named}{more}"))


def _require_privacy(connection: ObjectsConnection) -> None:
    endpoint = connection.endpoint
    address = urlsplit(endpoint if "://" in endpoint else f"{connection.scheme}://{endpoint}")
    if address.scheme != "https" and not is_this_machine(address.hostname or ""):
        raise SourceError(
            "objects would travel in clear: set scheme: https, for http is for storage on this machine "
            "only",
            transient=False,
        )


def _storage(connection: ObjectsConnection) -> S3FileSystem:
    # Credentials come from the connection or the environment. Asking the machine's metadata service
    # as well would hang where there is none; whoever wants it sets this variable to false.
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    return S3FileSystem(
        access_key=connection.access_key or None,
        secret_key=connection.secret_key or None,
        region=connection.region,
        endpoint_override=connection.endpoint or None,
        scheme=connection.scheme,
        force_virtual_addressing=connection.virtual_hosts,
        connect_timeout=connection.timeout_seconds,
        request_timeout=connection.timeout_seconds,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
    )


def _fresh(
    storage: S3FileSystem, bucket: str, ask: Ask, before: Sequence[RawFile]
) -> list[_Object]:
    """Objects that are not among the raw files as they now are, oldest change first."""
    copied = {file.origin: file for file in before if file.origin}
    latest = max((file.pulled_at for file in copied.values()), default=None)
    fresh = [
        each
        for each in _matching(storage, bucket, ask.source.location)
        if each.key not in copied
        or _differs(storage, each, copied[each.key], copied[each.key].pulled_at == latest)
    ]
    return sorted(fresh, key=lambda each: (each.modified, each.key))


def _matching(storage: S3FileSystem, bucket: str, location: str) -> Iterable[_Object]:
    """Objects whose key fits a glob."""
    from pyarrow.fs import FileSelector, FileType

    pattern = location.lstrip("/")
    base = bucket.strip("/")
    folders = pattern.split("/")[:-1]
    plain = list(itertools.takewhile(lambda name: not glob.has_magic(name), folders))
    folder = "/".join((base, *plain))
    fits = re.compile(fsspec.utils.glob_translate(pattern))
    try:
        listed = storage.get_file_info(FileSelector(folder, recursive=len(plain) < len(folders)))
    except FileNotFoundError:  # nothing there yet; a bucket that is missing says so otherwise
        return
    for info in listed:
        key = info.path.removeprefix(f"{base}/")
        if info.type == FileType.File and fits.fullmatch(key):
            yield _Object(info.path, key, info.size, info.mtime_ns)


def _differs(storage: S3FileSystem, found: _Object, copied: RawFile, is_latest: bool) -> bool:
    """Whether an object is another version than the one that was copied.

    Args:
        storage: Asked where the list cannot tell.
        found: The object.
        copied: The raw file of the same key.
        is_latest: Whether the last pull that copied anything copied it; those before it were
            compared again by then.
    """
    version = copied.cursor
    if (found.size, found.modified) != (version["size"], version["modified"]):
        return True
    changed = datetime.fromtimestamp(found.modified / 1e9, UTC)
    if not is_latest or copied.pulled_at - changed > _UNSURE:
        return False
    with storage.open_input_file(found.path) as opened:
        return bool(_etag(opened) != version["etag"])


def _etag(opened: Any) -> str:
    return bytes(opened.metadata().get("ETag", b"")).decode()


def _suffix(ask: Ask, key: str) -> str:
    """What the bytes are: the format that the input states, and how the key says it is packed."""
    packed = re.search(r"\.(gz|zst)$", key.lower())
    return f".{ask.source.format}{packed.group(0) if packed else ''}"


class _Copy:
    """An object of which the first bytes have been read, so that it is known to be readable."""

    def __init__(
        self, storage: S3FileSystem, connection: ObjectsConnection, found: _Object
    ) -> None:
        self._storage, self._connection, self._found = storage, connection, found
        self._opened = storage.open_input_file(found.path)
        self._first = self._opened.read(_CHUNK)
        self._etag = _etag(self._opened)

    @property
    def version(self) -> dict[str, Any]:
        """Which version of the object this is."""
        return {
            "key": self._found.key,
            "size": self._found.size,
            "modified": self._found.modified,
            "etag": self._etag,
        }

    def write(self, out: BinaryIO) -> int:
        """Write the object.

        Returns:
            1 for an object with anything in it: what it holds is not known before it is read.

        Raises:
            SourceError: it could not be read to its end, or changed meanwhile.
        """
        chunk, chunks = self._first, 0
        while chunk:
            out.write(chunk)
            chunks += 1
            chunk = self._more()
        # Each chunk is a request of its own, so an object that is replaced meanwhile would be put
        # together from two.
        if chunks > 1 and self._etag_now() != self._etag:
            raise SourceError(
                f"{self._found.key} was replaced while it was being copied; the next pull takes it",
                transient=True,
            )
        return min(chunks, 1)

    def _more(self) -> bytes:
        try:
            return bytes(self._opened.read(_CHUNK))
        except OSError as error:
            raise self._explained(error) from None

    def _etag_now(self) -> str:
        try:
            with self._storage.open_input_file(self._found.path) as opened:
                return _etag(opened)
        except OSError as error:
            raise self._explained(error) from None

    def _explained(self, error: OSError) -> SourceError:
        return _explained(error, self._connection, f"read {self._found.key}")


def _explained(error: OSError, connection: ObjectsConnection, doing: str) -> SourceError:
    """A storage's error in words that say what to do."""
    text = str(error)
    code = found.group(1) if (found := _CODE.search(text)) else type(error).__name__
    status = found.group(1) if (found := _STATUS.search(text)) else ""
    where = f"bucket {connection.bucket} at {connection.endpoint or 'AWS'}"
    if code == "NO_SUCH_BUCKET":
        return SourceError(
            f"cannot {doing}: {where} does not exist; check bucket, endpoint and region of the "
            "connection",
            transient=False,
        )
    if code in _REFUSED or status in {"401", "403"}:
        return SourceError(
            f"cannot {doing}: {where} refused it ({code}); check access_key and secret_key of the "
            "connection, and that they may list the bucket and read its objects",
            transient=False,
        )
    if code in _TRANSIENT or status.startswith("5") or status == "429":
        return SourceError(
            f"cannot {doing}: {where} did not answer ({code}), {_ATTEMPTS} times; try again later, "
            "or raise timeout_seconds of the connection",
            transient=True,
        )
    if status in {"301", "307", "400"}:
        return SourceError(
            f"cannot {doing}: {where} does not understand the request (HTTP {status}); check "
            "region, endpoint and scheme of the connection",
            transient=False,
        )
    if isinstance(error, FileNotFoundError):
        return SourceError(
            f"cannot {doing}: it was there when {where} was listed and is gone now", transient=True
        )
    return SourceError(f"cannot {doing}: {where} answered {code}", transient=False)
