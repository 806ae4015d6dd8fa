"""Connectors: how the raw files of an input are reached.

A connector takes an input's settings and yields ``SourceFile``s that lie on this machine; one that
pulls from an API or a database first writes what it got as sealed raw files. What belongs here: one
module per kind of source, and the table of them. What does not: reading the records in a file
(``siyu.ingestion.readers``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from siyu.config import Settings
from siyu.ingestion.connectors.files import Found, SourceFile, find_files
from siyu.ingestion.pull import Puller
from siyu.retailer import Input

Connector = Callable[[str, Input, Settings, datetime], Found]

CONNECTORS: Mapping[str, Connector] = {"files": find_files}

# How each type of connection is asked for what is new.
PULLERS: Mapping[str, Puller] = {}

__all__ = ["CONNECTORS", "PULLERS", "Connector", "Found", "SourceFile", "find_files"]
