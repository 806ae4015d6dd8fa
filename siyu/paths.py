"""Where things lie under the home folder. Names only: nothing here touches the disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from siyu.config import Settings


@dataclass(frozen=True)
class Paths:
    """Places of one retailer's data.

    Attributes:
        home: The home folder, shared by all retailers.
        retailer: Name of the retailer.
    """

    home: Path
    retailer: str

    @staticmethod
    def of(settings: Settings) -> Paths:
        """The places that the settings imply."""
        return Paths(settings.home, settings.retailer)

    @property
    def root(self) -> Path:
        """Everything of this retailer."""
        return self.home / self.retailer

    @property
    def lake(self) -> Path:
        """One Delta table per entity."""
        return self.root / "lake"

    @property
    def raw(self) -> Path:
        """What was pulled from other systems, as it came: one folder of sealed files per input."""
        return self.root / "raw"

    @property
    def complete(self) -> Path:
        """Last complete local day of pulled inputs, one file per input."""
        return self.root / "complete"

    @property
    def quarantine(self) -> Path:
        """Delta table of rejected rows, their payloads sealed."""
        return self.root / "quarantine"

    @property
    def aside(self) -> Path:
        """Delta table of the values of new columns, sealed until somebody declares or maps them."""
        return self.root / "aside"

    @property
    def tombstones(self) -> Path:
        """Delta table of the identifiers of people who were erased."""
        return self.root / "tombstones"

    @property
    def scratch(self) -> Path:
        """What landings spill; nothing in it outlives a landing."""
        return self.root / "tmp"

    @property
    def vault(self) -> Path:
        """Encrypted direct identifiers; never published."""
        return self.root / "vault.sqlite3"

    @property
    def keys(self) -> Path:
        """Folder (0700) of the token and wrapping keys (0600)."""
        return self.root / "keys"

    @property
    def identity(self) -> Path:
        """Delta tables of the identity map and its events."""
        return self.root / "identity"

    @property
    def warehouse(self) -> Path:
        """The DuckDB warehouse file."""
        return self.root / "warehouse" / "siyu.duckdb"

    @property
    def spark_warehouse(self) -> Path:
        """Folder of Spark's tables."""
        return self.root / "spark-warehouse"

    @property
    def lock(self) -> Path:
        """File whose kernel lock says who may write."""
        return self.root / "writer.lock"

    @property
    def ops(self) -> Path:
        """SQLite ledger of table versions, gate results, runs and publications."""
        return self.root / "ops.sqlite3"

    @property
    def audit(self) -> Path:
        """SQLite file of the audit log, and of what opens its commitments."""
        return self.root / "audit.sqlite3"

    @property
    def erasures(self) -> Path:
        """SQLite ledger of who asked to be erased, by marks, and of what was done."""
        return self.root / "erasures.sqlite3"

    @property
    def dbt(self) -> Path:
        """dbt's target folder for this retailer."""
        return self.root / "dbt"

    @property
    def serving(self) -> Path:
        """Publications, and the symlink ``current``."""
        return self.root / "serving"

    @property
    def mlflow(self) -> Path:
        """MLflow's database and artefacts, shared by all retailers."""
        return self.home / "mlflow"

    @property
    def dagster(self) -> Path:
        """Dagster's instance: assets have the same names for every retailer."""
        return self.root / "dagster"
