"""A retailer made on the spot, so that a test shows the files and the SQL it is about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import yaml

from siyu.config import Settings
from siyu.ingestion import LandingReport, land_entity
from siyu.lake import Lake, Manifest
from siyu.paths import Paths
from siyu.retailer import Retailer, load_retailer
from siyu.vault import Vault

NOW = datetime(2026, 6, 30, 4, 0, tzinfo=UTC)

POINTS = """
SELECT
    id AS entry_id, ident('crm', member) AS member_id, change, reason,
    local_to_utc(happened) AS occurred_at, _file, _row
FROM ledger
"""
POINTS_CSV = {"format": "csv", "location": "ledger/*.csv*"}

MEMBERS = """
SELECT
    ident('crm', id) AS member_id, phone, email, name, birth AS birth_date, address,
    local_to_utc(updated) AS updated_at, _file, _row
FROM crm
"""
MEMBERS_CSV = {"format": "csv", "location": "crm/*.csv"}


@dataclass
class Shop:
    """A retailer in a folder of its own."""

    folder: Path
    settings: Settings
    said: dict[str, Any] = field(default_factory=dict)

    def input(self, name: str, **settings: Any) -> None:
        settings["location"] = f"{self.folder}/source/{settings['location']}"
        self.said.setdefault("inputs", {})[name] = settings
        self._write_settings()

    def pulled(self, name: str, **settings: Any) -> None:
        """An input that a connection feeds."""
        self.said.setdefault("inputs", {})[name] = settings
        self._write_settings()

    def entity(self, name: str, **settings: Any) -> None:
        self.said.setdefault("entities", {})[name] = settings
        self._write_settings()

    def mapping(self, entity: str, sql: str) -> None:
        (self.settings.retailers / "shop" / f"{entity}.sql").write_text(sql)

    def write(self, name: str, content: str | bytes) -> Path:
        file = self.folder / "source" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    @property
    def retailer(self) -> Retailer:
        return load_retailer(self.settings)

    @property
    def lake(self) -> Lake:
        return Lake(Paths.of(self.settings))

    @property
    def vault(self) -> Vault:
        return Vault.of(Paths.of(self.settings))

    @property
    def paths(self) -> Paths:
        return Paths.of(self.settings)

    def land(self, entity: str, now: datetime = NOW) -> list[LandingReport]:
        return land_entity(self.settings, self.retailer, entity, "run", now)

    def landed(self, entity: str, now: datetime = NOW) -> Manifest:
        """Land an entity with a single input that has something new."""
        (report,) = self.land(entity, now)
        assert report.manifest is not None, report.reason
        return report.manifest

    def rows(self, entity: str, columns: str = "*") -> list[tuple[Any, ...]]:
        return self.query(f"SELECT {columns} FROM lake.{entity} ORDER BY ALL")

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect() as connection:
            self.lake.register(connection, self.retailer)
            return connection.execute(sql).fetchall()

    def broken(self) -> list[tuple[Any, ...]]:
        """``entity, rule, column, rows`` of what is in quarantine."""
        return self.query(
            'SELECT entity, rule, "column", rows FROM lake.quarantine_summary ORDER BY ALL'
        )

    def _write_settings(self) -> None:
        file = self.settings.retailers / "shop" / "retailer.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(self.said, sort_keys=False))


def make_shop(folder: Path, **settings: Any) -> Shop:
    home = folder / "home"
    shop = Shop(folder, Settings(home, "shop", folder / "retailers", "duckdb", None))
    shop.said = {
        "name": "shop",
        "en": "Shop",
        "zh": "店",
        "timezone": "Asia/Shanghai",
        "currency": "CNY",
        "history_from": "2024-01-01",
        "identifiers": {"crm": {"type": "member_id"}, "wx": {"type": "openid"}},
        "models": {},
        "inputs": {},
        **settings,
    }
    return shop


def at(said: str) -> datetime:
    """A time as the lake holds it: UTC, without a zone."""
    return datetime.fromisoformat(said)


def ledger_csv(*lines: str) -> str:
    return "\n".join(("id,member,change,reason,happened", *lines)) + "\n"


def crm_csv(*lines: str) -> str:
    return "\n".join(("id,phone,email,name,birth,address,updated", *lines)) + "\n"


def outcomes(manifest: Manifest) -> Mapping[str, int]:
    names = ("rows_in", "accepted", "duplicates", "quarantined", "suppressed")
    return {name: getattr(manifest, name) for name in names if getattr(manifest, name)}
