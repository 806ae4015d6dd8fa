"""Taking people out of a DuckDB file: the warehouse, or a publication.

Their rows are deleted, their names are taken from rows of others, and what is left is copied into a
fresh file, so that no freed page is left. Sums that they are in stay until the next refresh makes them
anew without them. No table is named here: whatever the file holds is looked through.

What belongs here: DuckDB files. What does not: which file, or when it is swapped in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from siyu.contracts import contracts
from siyu.lake import identifier, literal
from siyu.privacy.delta import MASK
from siyu.privacy.subject import Subject
from siyu.tombstones import IDENTIFIER, documents, mentions

_CUSTOMER: Final = "customer_id"
# Columns whose text may hold a name among others: keys of several parts, examples, messages.
_COMPOSED: Final = ("_key", "_keys", "_value", "observed", "message", "error")
# Names of the columns that hold a document's key in a table that is made from the lake's.
_PAPERS: Final = ("document_id",)


@dataclass(frozen=True)
class _Table:
    """A table of the file, with its text columns, and those that may not be null."""

    name: str
    texts: tuple[str, ...]
    required: frozenset[str]

    @property
    def composed(self) -> tuple[str, ...]:
        return tuple(column for column in self.texts if column.endswith(_COMPOSED))


def erase_from_file(
    file: Path,
    target: Path,
    subject: Subject,
    before_copy: Callable[[duckdb.DuckDBPyConnection], None] = lambda _: None,
    options: str = "",
) -> Mapping[str, int]:
    """Delete people from a file, and copy what is left to another; the two may be one.

    Args:
        file: Is changed.
        target: Is put in place once it is whole.
        subject: Who.
        before_copy: Called with the file open, such as to have its views read what there is now.
        options: Of the fresh file, as ``ATTACH`` takes them.
    """
    with duckdb.connect(str(file)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")
        counts = _Erasing(connection, subject).run()
        before_copy(connection)
        connection.execute("CHECKPOINT")
    partial = target.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"ATTACH {literal(str(file))} AS old (READ_ONLY)")
        connection.execute(f"ATTACH {literal(str(partial))} AS fresh {options}")
        connection.execute("COPY FROM DATABASE old TO fresh")
        for said in _comments(connection):
            connection.execute(said)
        connection.execute("DETACH fresh")
    partial.replace(target)
    target.with_suffix(f"{target.suffix}.wal").unlink(missing_ok=True)
    return counts


class _Erasing:
    """One file, table by table, in one transaction."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, subject: Subject) -> None:
        self._connection = connection
        self._papers = set(subject.papers)
        self._texts = set(subject.texts)
        self._mentions = {
            column
            for one in contracts().values()
            for column, scope in mentions(one).items()
            if scope == IDENTIFIER
        }
        self._paper_columns = {*documents().values(), *_PAPERS}
        self._temporary("erased_name", subject.names)
        self._temporary("erased_customer", subject.customers)
        self._temporary("erased_paper", self._papers)
        self._temporary("erased_text", self._texts)

    def _temporary(self, table: str, texts: Collection[str]) -> None:
        self._connection.execute(
            f"CREATE OR REPLACE TEMPORARY TABLE {table} AS "
            "SELECT unnest(CAST($texts AS VARCHAR[])) AS text",
            {"texts": sorted(texts)},
        )

    def run(self) -> Mapping[str, int]:
        """Delete, empty and mask; says how many rows and values."""
        counts: Counter[str] = Counter()
        tables = self._tables()
        self._connection.execute("BEGIN")
        for table in tables:
            counts["rows"] += self._delete(table)
            for column in table.texts:
                if column != _CUSTOMER:
                    of = "erased_paper" if column in self._paper_columns else "erased_name"
                    counts["emptied"] += self._empty(table, column, of)
            for column in table.composed:
                counts["masked"] += self._mask(table, column)
        self._connection.execute("COMMIT")
        return dict(counts)

    def _tables(self) -> list[_Table]:
        rows = self._connection.execute(
            "SELECT schema_name, table_name, list(column_name ORDER BY column_index), "
            "list(column_name) FILTER (NOT is_nullable) FROM duckdb_columns() "
            "SEMI JOIN duckdb_tables() USING (database_name, schema_name, table_name) "
            "WHERE data_type = 'VARCHAR' AND database_name = current_database() "
            "GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        return [
            _Table(
                f"{identifier(schema)}.{identifier(name)}", tuple(texts), frozenset(required or ())
            )
            for schema, name, texts, required in rows
        ]

    def _delete(self, table: _Table) -> int:
        """Delete rows of theirs: by the customer where a table says whose its rows are."""
        required = [column for column in table.texts if column in table.required]
        free = [column for column in table.texts if column not in self._mentions]
        papers = [column for column in table.texts if column in self._paper_columns]
        by_name = f"{_in(free, 'erased_name')} OR {_in(papers, 'erased_paper')}"
        by_required = (
            f"{_in(required, 'erased_name')} OR "
            f"{_in(table.required.intersection(papers), 'erased_paper')}"
        )
        if _CUSTOMER in table.texts:
            by_name = (
                f"{_CUSTOMER} IN (FROM erased_customer) OR ({_CUSTOMER} IS NULL AND ({by_name}))"
            )
        return self._count(f"DELETE FROM {table.name} WHERE {by_name} OR {by_required}")

    def _empty(self, table: _Table, column: str, of: str) -> int:
        name = identifier(column)
        return self._count(f"UPDATE {table.name} SET {name} = NULL WHERE {name} IN (FROM {of})")

    def _mask(self, table: _Table, column: str) -> int:
        name = identifier(column)
        said = self._connection.execute(
            f"SELECT DISTINCT {name} FROM {table.name} "
            f"SEMI JOIN erased_text ON contains({name}, erased_text.text)"
        ).fetchall()
        for (text,) in said:
            masked = masked_text(text, self._texts)
            self._connection.execute(
                f"UPDATE {table.name} SET {name} = ? WHERE {name} = ?", [masked, text]
            )
        return len(said)

    def _count(self, statement: str) -> int:
        row = self._connection.execute(statement).fetchone()
        return 0 if row is None else int(row[0])


def _in(columns: Collection[str], table: str) -> str:
    """SQL of the condition that any of some columns holds a text of a table."""
    found = (f"{identifier(column)} IN (FROM {table})" for column in sorted(columns))
    return " OR ".join(found) or "false"


def masked_text(text: str, named: Collection[str]) -> str:
    """A text without the names in it, the longest first, as one may hold another."""
    for name in sorted(named, key=len, reverse=True):
        text = text.replace(name, MASK)
    return text


def _comments(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Statements that give the fresh file the comments of the old one."""
    tables = connection.execute(
        "SELECT schema_name, table_name, comment FROM duckdb_tables() "
        "WHERE database_name = 'old' AND comment IS NOT NULL"
    ).fetchall()
    columns = connection.execute(
        "SELECT schema_name, table_name, column_name, comment FROM duckdb_columns() "
        "WHERE database_name = 'old' AND comment IS NOT NULL"
    ).fetchall()
    said = [(f"TABLE fresh.{identifier(s)}.{identifier(t)}", text) for s, t, text in tables]
    said += [
        (f"COLUMN fresh.{identifier(s)}.{identifier(t)}.{identifier(c)}", text)
        for s, t, c, text in columns
    ]
    return [f"COMMENT ON {what} IS {literal(text)}" for what, text in said]
