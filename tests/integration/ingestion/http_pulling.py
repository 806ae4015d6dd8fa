"""Pulls from a server on this machine, and what they left."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from http_api_server import Fault

from siyu.config import Settings
from siyu.ingestion.pull import Puller, PullReport, pull_connection
from siyu.ingestion.raw import RawStore
from siyu.paths import Paths
from siyu.retailer import Retailer

NOW = datetime(2026, 6, 10, 4, tzinfo=UTC)  # noon in Beijing


@dataclass
class Pulling:
    """A retailer with one connection, whose inputs are named after what they ask for."""

    folder: Path
    connection: Mapping[str, Any]
    puller: Any
    inputs: dict[str, dict[str, Any]]
    waits: list[float] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return replace(Settings.from_env({}), home=self.folder, retailer="shop")

    @property
    def retailer(self) -> Retailer:
        return Retailer.model_validate(
            {
                "name": "shop", "en": "Shop", "zh": "店", "timezone": "Asia/Shanghai",
                "currency": "CNY", "history_from": "2026-06-01", "identifiers": {}, "models": {},
                "connections": {"api": self.connection},
                "inputs": {
                    name: {"connection": "api", "format": "jsonl", "location": name, **said}
                    for name, said in self.inputs.items()
                },
                "folder": self.folder,
            }
        )  # fmt: skip

    def pull(self, now: datetime = NOW) -> dict[str, PullReport]:
        puller: Puller = partial(self.puller, sleep=self.waits.append)
        pullers = {self.connection["type"]: puller}
        reports = pull_connection(self.settings, self.retailer, "api", pullers, now)
        return {report.name: report for report in reports}

    def impatient(self, fault: Fault) -> None:
        """Wait for an answer that never comes no longer than a test can afford."""
        if fault.kind == "silent":
            self.connection = {**self.connection, "timeout_seconds": 0.5}

    def store(self, name: str) -> RawStore:
        return RawStore(Paths.of(self.settings), name)

    def lines(self, name: str) -> list[dict[str, Any]]:
        """Every record of an input, in the order in which they were written."""
        store = self.store(name)
        found = []
        for file in store.files():
            with store.open(file.path) as opened, gzip.open(opened) as unpacked:
                found += [json.loads(line) for line in unpacked]
        return found

    def plain(self, name: str) -> bytes:
        store = self.store(name)
        return b"".join(gzip.decompress(store.open(file.path).read()) for file in store.files())
