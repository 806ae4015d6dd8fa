"""Canonical entities, as data, and the loader that turns them into typed objects.

What belongs here: the shape of each entity in the lake (``entities/*.yaml``) and what follows from
that shape alone (lake columns, identifier columns, PII classes, names of rules across rows). What
does not: how a retailer's files are mapped onto an entity (``retailers/``), how rows are checked and
written (``siyu.ingestion``), or anything that reads data.
"""

from siyu.contracts.integrity import integrity_rules
from siyu.contracts.model import (
    AUDIT_COLUMNS,
    Column,
    Contract,
    ContractError,
    LakeColumn,
    Reference,
    contract,
    contracts,
)

__all__ = [
    "AUDIT_COLUMNS",
    "Column",
    "Contract",
    "ContractError",
    "LakeColumn",
    "Reference",
    "contract",
    "contracts",
    "integrity_rules",
]
