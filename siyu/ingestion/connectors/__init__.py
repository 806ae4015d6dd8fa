"""Connectors: how the raw files of an input are reached.

A connector finds the ``SourceFile``s of an input on this machine: files that the retailer puts there,
or the sealed raw files of what was pulled. A puller asks an API or a database for what is new, which
``siyu.ingestion.pull`` then writes as raw files. What belongs here: one module per kind of source,
and the tables of them. What does not: reading the records in a file
(``siyu.ingestion.readers``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from typing import Any

from siyu.config import Settings
from siyu.ingestion.connectors.files import Found, SourceFile, find_files
from siyu.ingestion.connectors.pulled import find_pulled
from siyu.ingestion.pull import Ask, Failed, Piece, Puller
from siyu.retailer import Input

Connector = Callable[[str, Input, Settings, datetime], Found]

CONNECTORS: Mapping[str, Connector] = {"files": find_files, "raw": find_pulled}


def _later(module: str) -> Puller:
    """The ``pull`` of a module that is imported when it is used: clients are slow to load."""

    def pull(connection: Any, asks: Sequence[Ask], now: datetime) -> Iterator[Piece | Failed]:
        pulled: Iterator[Piece | Failed] = import_module(module).pull(connection, asks, now)
        return pulled

    return pull


# How each type of connection is asked for what is new.
PULLERS: Mapping[str, Puller] = {
    name: _later(f"{__name__}.{name}") for name in ("mall", "objects", "postgres", "wecom")
}

__all__ = ["CONNECTORS", "PULLERS", "Connector", "Found", "SourceFile", "find_files", "find_pulled"]
