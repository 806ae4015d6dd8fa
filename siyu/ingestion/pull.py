"""Pulling: what is new in other systems becomes raw files, which then land like any other file.

All inputs of one connection are pulled together, so that a database is read in one snapshot and an
API's limits are kept across its resources. A pull that breaks has kept what it had; the next goes on
from there.

What belongs here: the order of things, credentials, and what a pull reports. What does not: how to
ask a particular system (``connectors``).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from siyu.config import Settings
from siyu.ingestion.errors import InputError
from siyu.ingestion.raw import Cursor, RawStore, Write
from siyu.ingestion.sealed import SealedError
from siyu.paths import Paths
from siyu.retailer import VARIABLE, Connection, Input, Retailer, RetailerError, fill
from siyu.vault import VaultError

_HIDDEN = "•••"
# What stands in the way on this machine, whatever system is asked: raw files, keys, the disk.
LOCAL_FAULTS: Final = (OSError, VaultError, sqlite3.Error)
# Fields of a connection that are nobody's secret.
_OPEN = {"type", "en", "base_url", "bucket", "endpoint", "region", "scheme", "timeout_seconds"}


class PullError(Exception):
    """Some inputs could not be pulled; the message says which, why, and what to do.

    Attributes:
        errors: What went wrong, by input; by the connection's name where all of it broke.
        reports: What was pulled of every input before that.
        transient: Whether trying again later may help.
    """

    def __init__(
        self,
        connection: str,
        errors: Mapping[str, SourceError],
        reports: Sequence[PullReport] = (),
    ) -> None:
        self.errors = dict(errors)
        self.reports = tuple(reports)
        super().__init__(
            f"connection {connection}: "
            + "; ".join(f"input {name}: {error}" for name, error in errors.items())
        )
        self.transient = any(error.transient for error in errors.values())


class SourceError(Exception):
    """A system did not give what it was asked for.

    Attributes:
        transient: Whether trying again later may help.
    """

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


@dataclass(frozen=True)
class Ask:
    """What a puller is to ask for.

    Attributes:
        name: The input.
        source: Its settings.
        cursor: Where the last pull got to; empty before the first.
        since: Where history begins (UTC), for a first pull.
        store: The input's raw files.
    """

    name: str
    source: Input
    cursor: Cursor
    since: datetime
    store: RawStore


@dataclass(frozen=True)
class Piece:
    """One raw file to be written.

    Attributes:
        name: The input it is for.
        suffix: What its bytes are, such as ``.jsonl.zst``.
        write: Writes them and says how many records they hold; called at once.
        cursor: Where to go on once it is written.
        keep: Sealed state to replace after it is written, by name.
        warnings: What a person should know though it stopped nothing.
        origin: What the other system calls it, such as an object's key.
    """

    name: str
    suffix: str
    write: Write
    cursor: Cursor
    keep: Mapping[str, Write] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    origin: str = ""


@dataclass(frozen=True)
class Failed:
    """An input that could not be pulled, while others go on."""

    name: str
    error: SourceError


def explained_locally(error: Exception, folder: Path) -> SourceError:
    """One of ``LOCAL_FAULTS`` in words that say what to do.

    Args:
        error: What happened.
        folder: Where the input's raw files are.
    """
    if isinstance(error, SealedError):
        said = (
            f"{error}: move it out of {folder}, and the next pull goes on from what is left, or "
            "restore it from a backup"
        )
    elif isinstance(error, OSError):
        where = error.filename or folder
        said = (
            f"{where}: {error.strerror or type(error).__name__}; see that the disk has room and "
            "may be written to; what came before is kept, pull again"
        )
    elif isinstance(error, sqlite3.Error):
        said = f"the vault cannot be used ({error}); see that its disk has room, then pull again"
    else:
        said = f"{folder}: {error}"
    return SourceError(said, transient=False)


def by_itself(ask: Ask, pulled: Iterator[Piece | Failed]) -> Iterator[Piece | Failed]:
    """What is pulled of one input; what is wrong with its own files fails it and no other."""
    try:
        yield from pulled
    except LOCAL_FAULTS as error:
        yield Failed(ask.name, explained_locally(error, ask.store.folder))


# Asks a system for what is new of some inputs, in pieces, as soon as each is there.
Puller = Callable[[Any, Sequence[Ask], datetime], Iterator[Piece | Failed]]


@dataclass(frozen=True)
class PullReport:
    """What pulling one input did.

    Attributes:
        name: The input.
        files: Raw files written.
        rows: Records in them.
        bytes: Their plain size.
        cursor: Where the next pull goes on.
        warnings: What a person should know.
        seconds: How long the connection took, all inputs together.
    """

    name: str
    files: int
    rows: int
    bytes: int
    cursor: Cursor
    warnings: tuple[str, ...]
    seconds: float


def inputs_of(retailer: Retailer, connection: str) -> dict[str, Input]:
    """The inputs that a connection feeds."""
    return {
        name: source for name, source in retailer.inputs.items() if source.connection == connection
    }


def pull_connection(
    settings: Settings,
    retailer: Retailer,
    connection: str,
    pullers: Mapping[str, Puller],
    now: datetime,
) -> list[PullReport]:
    """Pull what is new of every input of a connection.

    Args:
        settings: Where things lie.
        retailer: Its connections and inputs.
        connection: Name of the connection.
        pullers: How to ask each type of system.
        now: The wall clock (UTC).

    Returns:
        One report per input.

    Raises:
        InputError: a variable of the connection is not set.
        PullError: some inputs could not be pulled; what came before is kept. An input whose raw
            files are damaged has no report.
    """
    started = time.monotonic()
    filled = with_variables(settings, connection, retailer.connections[connection])
    hide = hider(retailer.connections[connection], filled)
    midnight = datetime.combine(retailer.history_from, datetime.min.time())
    since = midnight.replace(tzinfo=ZoneInfo(retailer.timezone)).astimezone(UTC)
    errors: dict[str, SourceError] = {}
    asks: list[Ask] = []
    stores = {name: RawStore(Paths.of(settings), name) for name in inputs_of(retailer, connection)}
    for name, store in stores.items():
        with _noting(errors, name, store.folder):
            asks.append(Ask(name, retailer.inputs[name], store.cursor(), since, store))
    yesterday = now.astimezone(ZoneInfo(retailer.timezone)).date() - timedelta(days=1)
    # That a bucket holds no more does not show that whoever fills it is done.
    through = None if filled.type == "objects" else yesterday
    written: dict[str, list[tuple[int, int]]] = {ask.name: [] for ask in asks}
    warnings: dict[str, list[str]] = {ask.name: [] for ask in asks}
    try:
        with _noting(errors, connection, Paths.of(settings).raw):
            for piece in pullers[filled.type](filled, asks, now) if asks else ():
                if piece.name in errors:
                    continue  # the cursor of a later piece would pass over the one that is missing
                if isinstance(piece, Failed):
                    errors[piece.name] = hidden(piece.error, hide)
                    continue
                warnings[piece.name] += [hide(warning) for warning in piece.warnings]
                with _noting(errors, piece.name, stores[piece.name].folder):
                    _write(stores[piece.name], piece, now, through, written[piece.name])
    except SourceError as error:
        # Not the error itself: its frames hold what the puller had open.
        errors[connection] = hidden(error, hide)
    for ask in asks:
        if not {ask.name, connection} & set(errors):
            with _noting(errors, ask.name, ask.store.folder):
                ask.store.note_asked(through, now)
    reports = [
        PullReport(
            name, len(files), sum(rows for rows, _ in files), sum(size for _, size in files),
            stores[name].cursor(), tuple(warnings[name]), time.monotonic() - started,
        )
        for name, files in written.items()
    ]  # fmt: skip
    if errors:
        raise PullError(connection, errors, reports) from None
    return reports


@contextmanager
def _noting(errors: dict[str, SourceError], name: str, folder: Path) -> Iterator[None]:
    """Note what this machine has in the way as the error of an input, and let the others go on."""
    try:
        yield
    except LOCAL_FAULTS as error:
        errors[name] = explained_locally(error, folder)


def _write(
    store: RawStore,
    piece: Piece,
    now: datetime,
    through: date | None,
    written: list[tuple[int, int]],
) -> None:
    file = store.write(piece.suffix, piece.write, piece.cursor, now, through, piece.origin)
    if file is not None:
        written.append((file.rows, file.bytes))
    for name, write in piece.keep.items():
        store.keep(name, write, now)


def with_variables(settings: Settings, name: str, connection: Connection) -> Connection:
    """A connection with its ``${VAR}`` filled in.

    Raises:
        InputError: a variable is not set.
    """
    try:
        return connection.model_copy(
            update={
                field: fill(value, settings)
                for field, value in connection.model_dump().items()
                if isinstance(value, str)
            }
        )
    except RetailerError as error:
        raise InputError(f"connection {name}: {error}") from None


def hider(said: Connection, filled: Connection) -> Callable[[str], str]:
    """What takes a connection's credentials out of a text: errors may quote an address.

    Args:
        said: The connection as retailer.yaml has it; whatever a variable brings is hidden.
        filled: The same with its variables; what is not known to be open is hidden whole.
    """
    closed = {
        field: value
        for field, value in filled.model_dump().items()
        if field not in _OPEN and isinstance(value, str)
    }
    texts = [str(value) for field, value in said.model_dump().items() if field in closed]
    variables = [os.environ.get(name, "") for text in texts for name in VARIABLE.findall(text)]
    passwords = [urlsplit(value).password or "" for value in closed.values() if "://" in value]
    secrets = sorted({*closed.values(), *variables, *passwords} - {""}, key=len, reverse=True)

    def hide(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, _HIDDEN)
        return text

    return hide


def hidden(error: SourceError, hide: Callable[[str], str]) -> SourceError:
    """The same error without credentials."""
    return SourceError(hide(str(error)), transient=error.transient)
