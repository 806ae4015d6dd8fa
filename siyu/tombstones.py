"""Tombstones: marks of whom and what was erased, so that it does not come back.

A mark is an HMAC under the token key: whoever has the key can ask whether an identifier was erased,
and nobody can read one off. An identifier's mark keeps its rows out; a row's mark keeps out a row that
named the person by nothing of their own, such as an order or what belongs to it.

What belongs here: marks, and asking for them row by row. What does not: deciding what is erased
(``siyu.privacy``), or what becomes of rows that are (``siyu.ingestion.landing``).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake

from siyu.contracts import Contract, contracts
from siyu.lake import active_files
from siyu.paths import Paths
from siyu.vault import load_keys

# What a mark is of: an identifier of a person, or the key of a row of an entity, which is then the
# scope.
IDENTIFIER: Final = "identifier"
# Customer ids, by which a home that was restored knows whose identifiers are meant.
CUSTOMER: Final = "customer"

SCHEMA: Final = pa.schema(
    {
        "scope": pa.string(),
        "mark": pa.string(),
        "request_id": pa.string(),
        "erased_at": pa.timestamp("us"),
    }
)


def mark(token_key: bytes, scope: str, text: str) -> str:
    """The mark of an identifier or a row's key."""
    return hmac.digest(token_key, f"tombstone\x1f{scope}\x1f{text}".encode(), "sha256").hex()


class Tombstones:
    """The tombstones of one retailer, as they are now.

    Args:
        token_key: Makes the marks.
        marks: By scope.
    """

    def __init__(self, token_key: bytes, marks: Mapping[str, frozenset[str]]) -> None:
        self._token_key = token_key
        self._marks = marks
        # Of each scope, what was asked before, with the answer.
        self._known: dict[str, dict[str, bool]] = {}

    @staticmethod
    def of(paths: Paths) -> Tombstones:
        """Those that a retailer's folder holds; none when nobody was ever erased."""
        marks: dict[str, set[str]] = {}
        for scope, said in _rows(paths.tombstones, "scope, mark"):
            marks.setdefault(scope, set()).add(said)
        key = load_keys(paths).token if marks else b""
        return Tombstones(key, {scope: frozenset(said) for scope, said in marks.items()})

    def __bool__(self) -> bool:
        return bool(self._marks)

    def covers(self, scope: str, text: str) -> bool:
        """Whether an identifier, or a row of an entity by its key, was erased."""
        known = self._known.setdefault(scope, {})
        if text not in known:
            known[text] = mark(self._token_key, scope, text) in self._marks.get(scope, ())
        return known[text]

    def erased(self, entity: Contract, rows: pa.RecordBatch) -> pa.BooleanArray:
        """Which rows are of somebody who was erased.

        Args:
            entity: Their contract.
            rows: In the lake's columns; those that are absent count as null.
        """
        answer = pa.array([False] * rows.num_rows, pa.bool_())
        for column in entity.customer_columns:
            if column in rows.schema.names:
                answer = pc.or_(answer, self._covered(IDENTIFIER, rows.column(column)))
        for scope, key in row_keys(entity):
            if scope in self._marks and set(key) <= set(rows.schema.names):
                answer = pc.or_(answer, self._covered(scope, key_texts(rows, key)))
        return answer

    def without_mentions(self, entity: Contract, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of others, with null where they name somebody who was erased."""
        for column, scope in mentions(entity).items():
            if column not in rows.schema.names:
                continue
            place = rows.schema.get_field_index(column)
            named = self._covered(scope, rows.column(column))
            if named.true_count:
                kept = pc.if_else(named, pa.scalar(None, pa.string()), rows.column(column))
                rows = rows.set_column(place, rows.schema.field(place), kept)
        return rows

    def _covered(self, scope: str, values: pa.Array) -> pa.BooleanArray:
        coded = values.dictionary_encode()
        answers = [
            text is not None and self.covers(scope, text) for text in coded.dictionary.to_pylist()
        ]
        if not any(answers):
            return pa.array([False] * len(values), pa.bool_())
        return pc.fill_null(pa.array(answers, pa.bool_()).take(coded.indices), False)


def row_keys(entity: Contract) -> list[tuple[str, tuple[str, ...]]]:
    """Scopes under which a row may be kept out, with the columns that hold the key.

    Its own, and those of documents that it belongs to.
    """
    parts = [(r.entity, r.columns) for r in entity.references if r.entity in documents()]
    return [(entity.entity, entity.key), *parts]


def documents() -> dict[str, str]:
    """Entities whose rows are a customer's and are named by rows of others, with their key.

    Orders are: a payment says which order it is of, and not whose.
    """
    referred = {reference.entity for one in contracts().values() for reference in one.references}
    return {
        name: one.key[0]
        for name, one in contracts().items()
        if name in referred
        and one.customer_columns
        and len(one.key) == 1
        and one.key[0] not in one.customer_columns
    }


def mentions(entity: Contract) -> dict[str, str]:
    """Lake columns in which a row of one customer may name another, with the scope of what they hold.

    Such as who referred them, or the order that a coupon of theirs was used on.
    """
    found = {
        column.name: IDENTIFIER
        for column in entity.lake_columns
        if column.pii == "pseudonymous"
        and column.name not in entity.customer_columns
        and column.origin == column.name
    }
    kept_out_by = {scope for scope, _ in row_keys(entity)}
    names = {column.name for column in entity.columns}
    papers = {key: scope for scope, key in documents().items() if scope not in kept_out_by}
    return found | {key: scope for key, scope in papers.items() if key in names}


def key_texts(rows: pa.RecordBatch | pa.Table, key: Sequence[str]) -> pa.Array:
    """The key of each row as one text; null where a part of it is."""
    parts = [pc.cast(rows.column(name), pa.string()) for name in key]
    return parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, "|")


def bury(paths: Paths, request_id: str, keys: Mapping[str, Iterable[str]], now: datetime) -> int:
    """Keep out identifiers and rows from now on; those that are kept out already stay so.

    Args:
        paths: The retailer's places.
        request_id: Whose request it is.
        keys: Texts by scope.
        now: The wall clock (UTC).

    Returns:
        How many are kept out for this request.
    """
    token_key = load_keys(paths).token
    wanted = {
        (scope, mark(token_key, scope, text)) for scope, texts in keys.items() for text in texts
    }
    _append(paths.tombstones, wanted, request_id, now)
    return len(wanted)


def merge(paths: Paths, other: Path) -> int:
    """Take over the tombstones of another home or of a copy: a Delta folder or a Parquet file.

    Returns:
        How many were new.

    Raises:
        FileNotFoundError: there is neither.
    """
    if not other.exists():
        raise FileNotFoundError(f"{other}: no tombstones there")
    before = set(_rows(paths.tombstones, "scope, mark"))
    found = [
        row for row in _rows(other, "scope, mark, request_id, erased_at") if row[:2] not in before
    ]
    if found:
        columns = dict(zip(SCHEMA.names, map(list, zip(*found, strict=True)), strict=True))
        write_deltalake(str(paths.tombstones), pa.table(columns, SCHEMA), mode="append")
    return len(found)


def copy_out(paths: Paths, file: Path) -> int:
    """Write all tombstones to one Parquet file, to be kept apart from the data.

    Returns:
        How many there are.
    """
    rows = _rows(paths.tombstones, "scope, mark, request_id, erased_at")
    columns = zip(*rows, strict=True) if rows else [[] for _ in SCHEMA.names]
    table = pa.table(dict(zip(SCHEMA.names, map(list, columns), strict=True)), SCHEMA)
    duckdb.from_arrow(table).write_parquet(str(file))
    return len(rows)


def _append(folder: Path, marks: set[tuple[str, str]], request_id: str, now: datetime) -> None:
    held = {(scope, said) for scope, said in _rows(folder, "scope, mark")}
    fresh = sorted(marks - held)
    if fresh:
        rows = [(scope, said, request_id, now.replace(tzinfo=None)) for scope, said in fresh]
        columns = dict(zip(SCHEMA.names, map(list, zip(*rows, strict=True)), strict=True))
        write_deltalake(str(folder), pa.table(columns, SCHEMA), mode="append")


def _rows(place: Path, columns: str) -> list[tuple[str, ...]]:
    if place.is_file():
        files = [str(place)]
    elif DeltaTable.is_deltatable(str(place)):
        files = active_files(DeltaTable(str(place)))
    else:
        return []
    if not files:
        return []
    return duckdb.execute(
        f"SELECT {columns} FROM read_parquet($files) ORDER BY ALL", {"files": files}
    ).fetchall()
