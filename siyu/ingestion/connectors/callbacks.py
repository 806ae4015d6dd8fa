"""WeCom's callbacks: events as they happen, received over HTTP and kept as raw files.

Each request is checked (signature, age, whom it is for, whether it came before) and then appended,
still encrypted by WeCom, to a journal that is flushed to the disk before WeCom is told of success.
The journal becomes a raw file every so often, and when the receiver starts or stops. So an event is
kept at least once; one that comes twice is told by its ``event_id``.

Each line is one event: ``{"received_at", "event_id", "event": {…}}``, the fields of its XML as they
came, all texts; events nobody knows yet are kept like any other.

What belongs here: the protocol and the receiver. What does not: what an event means (the retailer's
mappings), or how many never came (``ops.wecom_callback_loss``).
"""

from __future__ import annotations

import base64
import errno
import hashlib
import hmac
import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.parsers import expat

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from filelock import FileLock, Timeout

from siyu.config import Settings
from siyu.ingestion.connectors.records import SUFFIX, Record, lines
from siyu.ingestion.errors import InputError
from siyu.ingestion.pull import inputs_of, with_variables
from siyu.ingestion.raw import RawStore
from siyu.paths import Paths
from siyu.retailer import Retailer, WecomConnection
from siyu.vault import VaultError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

LOCATION: Final = "callbacks"

_KEY_BYTES: Final = 32
_RANDOM_BYTES: Final = 16
_LENGTH_BYTES: Final = 4
_PADDING_BITS: Final = 32 * 8  # WeCom pads to 32 bytes, not to AES's 16
_LARGEST_BYTES: Final = 1 << 20
_DEEPEST: Final = 16
# Older or newer than this a request is a replay, or this machine's clock is wrong.
_FRESH: Final = timedelta(minutes=10)

_log = logging.getLogger(__name__)


class CallbackRefused(Exception):
    """A request is not one of WeCom's to this corporation; ``str`` is the reason, one word."""


# --- the protocol ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Sealed:
    """A message as WeCom sends it.

    Attributes:
        signature: ``msg_signature``.
        timestamp: Seconds, as text.
        nonce: Text.
        encrypted: Base64.
    """

    signature: str
    timestamp: str
    nonce: str
    encrypted: str

    @staticmethod
    def of(query: Mapping[str, str], encrypted: str) -> Sealed:
        """A message with what the address says of it."""
        signature, timestamp, nonce = (
            query.get(name, "") for name in ("msg_signature", "timestamp", "nonce")
        )
        return Sealed(signature, timestamp, nonce, encrypted)


class Protocol:
    """Checks and decrypts what WeCom sends.

    Args:
        token: Signs.
        key: Encrypts: EncodingAESKey, 43 characters.
        corp_id: For whom messages must be.

    Raises:
        InputError: the key is none.
    """

    def __init__(self, token: str, key: str, corp_id: str) -> None:
        try:
            self._key = base64.b64decode(f"{key}=", validate=True)
        except ValueError:
            self._key = b""
        if not token or len(self._key) != _KEY_BYTES:
            raise InputError(
                "callbacks need callback_token, and callback_key as the 43 characters that WeCom's "
                "console shows as EncodingAESKey"
            )
        self._token = token
        self._corp_id = corp_id

    def open(self, sealed: Sealed) -> bytes:
        """The message.

        Raises:
            CallbackRefused: it is not from WeCom, or not for this corporation.
        """
        signature = sign(self._token, sealed.timestamp, sealed.nonce, sealed.encrypted)
        if not hmac.compare_digest(signature.encode(), sealed.signature.encode()):
            raise CallbackRefused("signature")
        try:
            packed = self._decrypted(base64.b64decode(sealed.encrypted, validate=True))
        except ValueError:
            packed = b""
        begin = _RANDOM_BYTES + _LENGTH_BYTES
        end = begin + int.from_bytes(packed[_RANDOM_BYTES:begin], "big")
        if len(packed) < begin or end > len(packed):
            raise CallbackRefused("encryption")
        if packed[end:] != self._corp_id.encode():
            raise CallbackRefused("receiver")
        return packed[begin:end]

    def _decrypted(self, data: bytes) -> bytes:
        cipher = Cipher(algorithms.AES(self._key), modes.CBC(self._key[:16])).decryptor()
        unpadder = PKCS7(_PADDING_BITS).unpadder()
        padded = cipher.update(data) + cipher.finalize()
        return unpadder.update(padded) + unpadder.finalize()


def sign(token: str, timestamp: str, nonce: str, encrypted: str) -> str:
    """WeCom's signature of a message."""
    text = "".join(sorted((token, timestamp, nonce, encrypted)))
    return hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - the protocol's choice


def parse_xml(text: bytes) -> dict[str, Any]:
    """An XML document's root as nested mappings; an element that repeats becomes a list.

    There are no attributes in WeCom's documents. A document type, and so any entity, is refused:
    nothing else can make a small document large or read a file.

    Raises:
        CallbackRefused: it is no such document.
    """
    stack: list[tuple[dict[str, Any], list[str]]] = [({}, [])]

    def begin(_name: str, _attributes: dict[str, str]) -> None:
        if len(stack) > _DEEPEST:
            raise CallbackRefused("xml")
        stack.append(({}, []))

    def end(name: str) -> None:
        children, texts = stack.pop()
        value = children or "".join(texts).strip()
        parent = stack[-1][0]
        if name not in parent:
            parent[name] = value
        elif isinstance(parent[name], list):
            parent[name].append(value)
        else:
            parent[name] = [parent[name], value]

    def refuse(*_: object) -> None:
        raise CallbackRefused("xml")

    parser = expat.ParserCreate()
    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = lambda data: stack[-1][1].append(data)
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, ValueError, LookupError):  # the latter for unknown encodings
        raise CallbackRefused("xml") from None
    (root,) = stack[0][0].values()
    if not isinstance(root, dict):
        raise CallbackRefused("xml")
    return root


# --- the receiver ----------------------------------------------------------------------------


class Receiver:
    """Takes requests and keeps their events.

    Args:
        protocol: Checks and decrypts.
        store: Raw files of the input.
        clock: Tells the time (UTC).

    Attributes:
        counts: Requests by what became of them: ``accepted``, ``repeated`` (kept before, so not
            again), or why they were refused.
    """

    def __init__(
        self, protocol: Protocol, store: RawStore, clock: Callable[[], datetime] | None = None
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._protocol = protocol
        self._store = store
        self._clock = clock or (lambda: datetime.now(UTC))
        self._journal = store.folder / ".callbacks.journal"
        self._lock = threading.Lock()
        # When each request was accepted, by signature, for as long as it would count as fresh.
        self._accepted: dict[str, datetime] = {}

    def greet(self, query: Mapping[str, str]) -> bytes:
        """What to answer when WeCom asks whether this address is ours.

        Args:
            query: Of the address: ``msg_signature``, ``timestamp``, ``nonce``, ``echostr``.

        Raises:
            CallbackRefused: it is not WeCom that asks.
        """
        with self._counted():
            return self._open(Sealed.of(query, query.get("echostr", "")))

    def receive(self, query: Mapping[str, str], body: bytes) -> None:
        """Keep an event; once this returns, it is on the disk.

        The same request again is answered like the first: its sender may not have had the answer.

        Args:
            query: Of the address: ``msg_signature``, ``timestamp``, ``nonce``.
            body: XML with the encrypted message.

        Raises:
            CallbackRefused: it is none, or too old.
            OSError: it could not be written; WeCom will send it again.
        """
        with self._lock, self._counted():
            sealed = Sealed.of(query, str(parse_xml(body).get("Encrypt", "")))
            parse_xml(self._open(sealed))
            if sealed.signature in self._accepted:
                self.counts["repeated"] += 1
                return
            self._append(sealed)
            self._remember(sealed.signature)
            self.counts["accepted"] += 1

    def roll(self) -> int:
        """Make what was received since the last time a raw file.

        A process that is killed between the file and the journal's end writes the same events again.

        Returns:
            How many events there were.
        """
        with self._lock:
            if not self._journal.is_file():
                return 0
            events = list(self._events())
            now = self._clock()
            self._store.write(SUFFIX, lines(events), {"rolled_at": now.isoformat()}, now, None)
            self._journal.unlink()
            return len(events)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except CallbackRefused as refused:
            self.counts[str(refused)] += 1
            _log.warning("a callback was refused: %s; so far %s", refused, dict(self.counts))
            raise

    def _open(self, sealed: Sealed) -> bytes:
        message = self._protocol.open(sealed)
        if not self._is_fresh(sealed.timestamp):
            raise CallbackRefused("replay")
        return message

    def _is_fresh(self, timestamp: str) -> bool:
        if not timestamp.isdecimal() or len(timestamp) > 12:
            return False
        return abs(self._clock().timestamp() - int(timestamp)) <= _FRESH.total_seconds()

    def _remember(self, signature: str) -> None:
        now = self._clock()
        # A request from ahead of this clock stays fresh for twice as long.
        while self._accepted and now - next(iter(self._accepted.values())) > 2 * _FRESH:
            del self._accepted[next(iter(self._accepted))]
        self._accepted[signature] = now

    def _append(self, sealed: Sealed) -> None:
        is_new = not self._journal.exists()
        self._store.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        said = {"received_at": self._clock().isoformat(), **vars(sealed)}
        # The line break comes first, so that a line cut short by a crash spoils no other.
        line = b"\n" + json.dumps(said).encode()
        descriptor = os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.write(descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            _flush(self._store.folder)

    def _events(self) -> Iterator[Record]:
        """Events in the journal; a line cut short was never acknowledged.

        Raises:
            InputError: they are under another key.
        """
        for line in self._journal.read_bytes().split(b"\n"):
            try:
                said = json.loads(line)
            except ValueError:
                continue
            received_at = said.pop("received_at")
            try:
                message = self._protocol.open(Sealed(**said))
            except CallbackRefused:
                raise InputError(
                    f"{self._journal} holds events from before callback_token or callback_key "
                    "changed; run the receiver once more with the old ones, so that they are kept"
                ) from None
            event_id = hashlib.sha256(message).hexdigest()[:32]
            yield {"received_at": received_at, "event_id": event_id, "event": parse_xml(message)}


def _flush(folder: Path) -> None:
    """Bring a new file's name to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def callback_app(receiver: Receiver, roll_seconds: float) -> Starlette:
    """The receiver as a web application: callbacks at ``/callbacks``, counts at ``/health``.

    Args:
        receiver: Keeps the events.
        roll_seconds: How long events wait in the journal.
    """
    import anyio
    from anyio.to_thread import run_sync
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    async def greet(request: Request) -> Response:
        try:
            return Response(receiver.greet(request.query_params), media_type="text/plain")
        except CallbackRefused:
            return Response("refused", status_code=403)

    async def receive(request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > _LARGEST_BYTES:
                return Response("too large", status_code=413)
        try:
            await run_sync(receiver.receive, request.query_params, bytes(body))
        except CallbackRefused:
            return Response("refused", status_code=403)
        return Response("success", media_type="text/plain")

    async def health(_: Request) -> Response:
        return JSONResponse(dict(receiver.counts))

    async def roll_for_ever() -> None:
        while True:
            await anyio.sleep(roll_seconds)
            try:
                await run_sync(receiver.roll)
            except (OSError, VaultError) as error:
                _log.error("events stay in the journal for now: %s", error)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        await run_sync(receiver.roll)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(roll_for_ever)
            yield
            tasks.cancel_scope.cancel()
        await run_sync(receiver.roll)

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/callbacks", greet, methods=["GET"]),
            Route("/callbacks", receive, methods=["POST"]),
            Route("/health", health, methods=["GET"]),
        ],
    )


def serve(
    settings: Settings,
    retailer: Retailer,
    connection: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8085,
    roll_seconds: float = 900,
) -> None:
    """Receive callbacks until the process is told to stop; put a proxy that speaks HTTPS before it.

    Args:
        settings: Where things lie.
        retailer: Its connections and inputs.
        connection: Name of a WeCom connection that feeds an input of ``location: callbacks``.
        host: Where to listen.
        port: Where to listen.
        roll_seconds: How long events wait before they become a raw file.

    Raises:
        InputError: the connection is none of WeCom, no input keeps its callbacks, a variable is not
            set, or another receiver is running.
    """
    import uvicorn

    store = callback_store(settings, retailer, connection)
    filled = with_variables(settings, connection, retailer.connections[connection])
    if not isinstance(filled, WecomConnection):  # callback_store has seen to it
        raise TypeError(connection)
    protocol = Protocol(filled.callback_token, filled.callback_key, filled.corp_id)
    store.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with FileLock(store.folder / ".callbacks.lock", timeout=0):
            app = callback_app(Receiver(protocol, store), roll_seconds)
            # An access log would hold signatures.
            uvicorn.run(app, host=host, port=port, access_log=False)
    except Timeout:
        raise InputError(
            f"connection {connection}: another process receives its callbacks; stop that first"
        ) from None


def callback_store(settings: Settings, retailer: Retailer, connection: str) -> RawStore:
    """Where the callbacks of a connection are kept.

    Raises:
        InputError: the connection is none of WeCom, or no input keeps its callbacks.
    """
    if not isinstance(retailer.connections.get(connection), WecomConnection):
        known = ", ".join(
            name for name, said in retailer.connections.items() if isinstance(said, WecomConnection)
        )
        raise InputError(
            f"{connection} is no connection of type wecom in retailer.yaml; there is {known or 'none'}"
        )
    for name, source in inputs_of(retailer, connection).items():
        if source.location == LOCATION:
            return RawStore(Paths.of(settings), name)
    raise InputError(
        f"connection {connection}: no input in retailer.yaml has `location: {LOCATION}`; add one"
    )
