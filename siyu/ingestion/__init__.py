"""Ingestion: what source systems give to lake, vault and quarantine.

What belongs here: connectors and pulls, readers, mapping, row rules, landing, drift of columns,
migration of what has landed, retraction, replay, and the check of a new retailer's folder. What does not: anything that needs more than one row (dbt), and reading the
lake (``siyu.lake``).
"""

from siyu.ingestion.check import RetailerCheck, check_retailer
from siyu.ingestion.errors import AccountingError, InputError, LandingError
from siyu.ingestion.landing import LandingReport, land_entity
from siyu.ingestion.quarantine import open_quarantine
from siyu.ingestion.replay import Replay, Unreleased, replay
from siyu.ingestion.retraction import BatchError, restore_batch, retract_batch

__all__ = [
    "AccountingError",
    "BatchError",
    "InputError",
    "LandingError",
    "LandingReport",
    "Replay",
    "RetailerCheck",
    "Unreleased",
    "check_retailer",
    "land_entity",
    "open_quarantine",
    "replay",
    "restore_batch",
    "retract_batch",
]
