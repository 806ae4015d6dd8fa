"""Everything that is held on one person, as JSON, for their right of access.

Rows of the lake with the values that the vault keeps of them, rows of every table made from these, what
was rejected, and who got any of it. No table is named here: what has rows of a customer is found in the
warehouse, and said what it is by its own description.

What belongs here: gathering it and its form. What does not: who may ask for it (``siyu.cli``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final

import duckdb

from siyu.audit import AuditLog
from siyu.config import Settings
from siyu.contracts import Contract, contracts
from siyu.dictionary import Model
from siyu.lake import identifier
from siyu.ops import Ledger
from siyu.paths import Paths
from siyu.privacy.erasure import text_matcher
from siyu.privacy.subject import Rows, Subject
from siyu.vault import Vault
from siyu.warehouse import Warehouse

FORMAT: Final = "siyu-person-1"
# Layers made from the lake, whose rows come first-hand; what is in between holds the same once more.
_LAYERS: Final = ("unified", "marts", "features", "ml", "ops")
_CUSTOMER: Final = "customer_id"

_WORDS: Final = {
    "en": (
        "Everything that this retailer's customer warehouse holds on you. 'identifiers' are what its "
        "systems call you. 'sources' are records as they came from these systems, 'rejected' those that "
        "broke a rule and were not used. 'tables' are what was made from them, such as sums, groups and "
        "predictions. 'received_by' says to whom any of it went. Every table and column says what it "
        "means. Times are UTC."
    ),
    "zh": (
        "本零售商的客户数据仓库中所保存的关于您的全部信息。identifiers 为各系统对您的标识；sources 为来自这些系统的"
        "原始记录；rejected 为不合规则而未被使用的记录；tables 为由此加工得到的数据，如汇总、分群与预测；received_by "
        "说明数据提供给了谁。每张表和每个字段均附有说明。时间均为 UTC。"
    ),
}

_TABLE_SCHEMA: Final = {
    "type": "object",
    "required": ["en", "zh", "columns", "rows"],
    "additionalProperties": False,
    "properties": {
        "en": {"type": "string"},
        "zh": {"type": "string"},
        "columns": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["en", "zh"],
                "properties": {"en": {"type": "string"}, "zh": {"type": "string"}},
            },
        },
        "rows": {"type": "array", "items": {"type": "object"}},
    },
}
SCHEMA: Final[Mapping[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "What a siyu warehouse holds on one person",
    "type": "object",
    "required": [
        "format", "retailer", "made_at", "words", "customers", "identifiers", "sources", "rejected",
        "tables", "received_by",
    ],
    "additionalProperties": False,
    "properties": {
        "format": {"const": FORMAT},
        "retailer": {"type": "string"},
        "made_at": {"type": "string", "format": "date-time"},
        "words": {"type": "object", "required": ["en", "zh"]},
        "customers": {"type": "array", "items": {"type": "string"}},
        "identifiers": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["identifier", "value", "shared"],
                "properties": {
                    "identifier": {"type": "string"},
                    "value": {"type": ["string", "null"]},
                    "shared": {"type": "boolean"},
                },
            },
        },
        "sources": {"type": "object", "additionalProperties": _TABLE_SCHEMA},
        "rejected": {"type": "array", "items": {"type": "object"}},
        "tables": {"type": "object", "additionalProperties": _TABLE_SCHEMA},
        "received_by": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["who", "what", "when"],
                "properties": {
                    "who": {"type": "string"}, "what": {"type": "string"}, "when": {"type": "string"},
                },
            },
        },
    },
}  # fmt: skip


@dataclass(frozen=True)
class Gathering:
    """What an export is made from.

    Attributes:
        models: Descriptions of tables.
        rejected: Rejected rows in clear whose texts name somebody.
    """

    models: Sequence[Model]
    rejected: Callable[[Callable[[str], bool]], list[dict[str, Any]]]


def export_person(
    settings: Settings, subject: Subject, gathering: Gathering, now: datetime
) -> dict[str, Any]:
    """Everything that is held on somebody, in the form of ``SCHEMA``.

    Args:
        settings: Where things lie.
        subject: Who.
        gathering: What other stages know.
        now: The wall clock.
    """
    paths = Paths.of(settings)
    vault = Vault.of(paths)
    with duckdb.connect() as connection:
        rows = Rows(connection, paths)
        rows.resume(subject)
        sources = {
            name: found
            for name, entity in contracts().items()
            if (found := _source(connection, rows, entity, vault))["rows"]
        }
    return {
        "format": FORMAT,
        "retailer": settings.retailer,
        "made_at": now.astimezone(UTC).isoformat(),
        "words": _WORDS,
        "customers": list(subject.customers),
        "identifiers": [
            {"identifier": name, "value": vault.reveal(name), "shared": name in subject.shared}
            for name in sorted({*subject.identifiers, *subject.shared})
        ],
        "sources": sources,
        "rejected": [_plain(row) for row in gathering.rejected(text_matcher(paths, subject))],
        "tables": _tables(settings, subject, gathering.models),
        "received_by": [*_publications(paths), *_exports(paths, subject)],
    }


def _source(
    connection: duckdb.DuckDBPyConnection, rows: Rows, entity: Contract, vault: Vault
) -> dict[str, Any]:
    """Their rows of an entity, each with the values behind its tokens."""
    held = connection.execute(
        f"SELECT * FROM lake.{entity.entity} AS row WHERE {rows.doomed(entity)}"
    ).to_arrow_table()
    columns = {lake.name: {"en": lake.en, "zh": lake.zh} for lake in entity.lake_columns}
    direct = {column.name: f"{column.name}_token" for column in entity.direct_columns}
    for column in entity.direct_columns:
        columns[column.name] = {"en": column.en, "zh": column.zh}
    found = []
    for row in held.to_pylist():
        clear = {name: vault.reveal(row[token]) for name, token in direct.items() if row[token]}
        found.append(_plain(row | clear))
    return {"en": entity.en, "zh": entity.zh, "columns": columns, "rows": found}


def _tables(settings: Settings, subject: Subject, models: Iterable[Model]) -> dict[str, Any]:
    """Their rows of every table made from the lake."""
    described = {f"{model.layer}.{model.name}": model for model in models}
    if not _is_there(settings):
        return {}
    found: dict[str, Any] = {}
    with Warehouse.of(settings).connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        columns = connection.execute(
            "SELECT table_schema || '.' || table_name, list(column_name), "
            "list(column_name) FILTER (data_type = 'VARCHAR') FROM information_schema.columns "
            "WHERE table_schema IN (SELECT unnest($layers)) GROUP BY ALL ORDER BY ALL",
            {"layers": list(_LAYERS)},
        ).fetchall()
        for table, names, texts in columns:
            whose = [_CUSTOMER] if _CUSTOMER in names else texts or []
            if not whose:
                continue
            theirs = " OR ".join(f"{identifier(name)} IN (SELECT unnest($names))" for name in whose)
            rows = connection.execute(
                f"FROM {table} WHERE {theirs}", {"names": [*subject.names, *subject.shared]}
            ).to_arrow_table()
            if rows.num_rows:
                found[table] = _described(described.get(table), rows.to_pylist())
    return found


def _is_there(settings: Settings) -> bool:
    paths = Paths.of(settings)
    return (paths.spark_warehouse if settings.engine == "spark" else paths.warehouse).exists()


def _described(model: Model | None, rows: list[dict[str, Any]]) -> dict[str, Any]:
    said = {} if model is None else {c.name: {"en": c.en, "zh": c.zh} for c in model.columns}
    return {
        "en": "" if model is None else model.en,
        "zh": "" if model is None else model.zh,
        "columns": said,
        "rows": [_plain(row) for row in rows],
    }


def _publications(paths: Paths) -> list[dict[str, str]]:
    """Publications that are still there: whoever may read them got what is in 'tables'."""
    if not paths.ops.exists():
        return []
    return [
        {
            "who": "readers of this retailer's published tables",
            "what": f"'tables', as of {row['as_of_date']}",
            "when": row["published_at"],
        }
        for row in Ledger(paths.ops).rows("SELECT * FROM publication ORDER BY published_at")
    ]


def _exports(paths: Paths, subject: Subject) -> list[dict[str, str]]:
    """Earlier exports of what is held on them."""
    if not paths.audit.exists():
        return []
    log = AuditLog.of(paths)
    return [
        {"who": "whoever asked for this person", "what": "all of this", "when": entry.occurred_at}
        for entry in log.entries()
        if entry.kind == "export" and _is_of(log.payload(entry), subject)
    ]


def _is_of(payload: Mapping[str, Any] | None, subject: Subject) -> bool:
    return payload is not None and bool({*subject.customers} & {*payload.get("customers", ())})


def _plain(value: Any) -> Any:
    """A value as JSON can say it: money and times as text, exactly."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return value
