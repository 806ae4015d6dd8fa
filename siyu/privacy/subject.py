"""Who a person is in the lake: their identifiers, and the rows that are theirs.

A row belongs to the customer of the strongest of its identifiers that anybody has, as in the facts of
the unified layer. So a row may name an identifier of one customer and be another's, such as a family's
phone: an identifier that also stands on rows of others is theirs as well. It stays with them, and is not
kept out when they land again.

What belongs here: finding identifiers, rows and values. What does not: taking them out
(``siyu.privacy.lake``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb
from deltalake import DeltaTable

from siyu.contracts import Contract, contracts
from siyu.lake import Lake, active_files, identifier
from siyu.paths import Paths
from siyu.privacy.search import LEAST_BYTES
from siyu.tombstones import CUSTOMER, IDENTIFIER, Tombstones, documents, row_keys

_DIRECT: Final = ("phone:", "email:")
# Which identifier of a row says whose it is, after those that are its key: as in fct_order and
# fct_interaction. Phones and e-mails come last.
_STRENGTH: Final = ("member_id", "buyer_id", "unionid", "external_userid", "openid")
# Customer ids that were those of people before: merged away, to go back to, or known as once.
_EARLIER_IDS: Final = """
SELECT other_customer_id FROM lake.identity_event
WHERE event_type = 'merge' AND customer_id IN (FROM person)
UNION SELECT own_customer_id FROM own_id JOIN held USING (identifier)
WHERE customer_id IN (FROM person)
UNION SELECT past.customer_id FROM lake.customer_identifier_past AS past
JOIN held ON past.identifier = held.identifier WHERE held.customer_id IN (FROM person)
"""
_ORIGIN: Final = ("_source", "_batch_id", "_file", "_row")


class SubjectError(Exception):
    """Nobody can be told by what was given; the message says what to do."""


@dataclass(frozen=True)
class Subject:
    """A person, or several, as the lake and the identity map know them.

    Attributes:
        customers: Their customer ids, earlier ones that were merged into them included.
        identifiers: Identifiers that stand for them alone.
        shared: Identifiers that stand on rows of others too.
        documents: Keys of the rows that others name without naming a person, by entity.
        rows: Keys of rows that name them by nothing of their own, by entity.
        tokens: Tokens of direct values that stand on no row of anybody else.
        origins: Where their rows came from: file and record, by entity and batch.
        files: Names of those files, by input.
        known_since: When the first of their identifiers was known (UTC, ISO); empty when none was.
    """

    customers: tuple[str, ...]
    identifiers: tuple[str, ...]
    shared: tuple[str, ...] = ()
    documents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tokens: tuple[str, ...] = ()
    origins: Mapping[str, Mapping[str, tuple[tuple[str, int], ...]]] = field(default_factory=dict)
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    known_since: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Whatever stands for them and nobody else."""
        return tuple(dict.fromkeys((*self.customers, *self.identifiers, *self.tokens)))

    @property
    def papers(self) -> tuple[str, ...]:
        """Keys of documents, whatever they are of."""
        return tuple(key for keys in self.documents.values() for key in keys)

    @property
    def texts(self) -> tuple[str, ...]:
        """What may be found nowhere: names, and keys too long to stand somewhere by chance."""
        return (*self.names, *(key for key in self.papers if len(key.encode()) >= LEAST_BYTES))

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @staticmethod
    def from_dict(said: Mapping[str, Any]) -> Subject:
        """From plain values."""
        return Subject(**{name: _frozen(value) for name, value in said.items()})


def _frozen(value: Any) -> Any:
    """Plain values with tuples for lists, as JSON knows only these."""
    if isinstance(value, dict):
        return {name: _frozen(part) for name, part in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def find_subject(
    paths: Paths, customers: Collection[str] = (), identifiers: Collection[str] = ()
) -> Subject:
    """Everything that stands for some people.

    Args:
        paths: The retailer's places.
        customers: Customer ids.
        identifiers: Identifiers, as ``namespace:value`` or tokens; of one that belongs to a customer,
            the customer is meant.

    Raises:
        SubjectError: one of them is not known.
    """
    with duckdb.connect() as connection:
        return Rows(connection, paths).subject(customers, identifiers)


def find_erased(paths: Paths) -> Subject | None:
    """Those of whom something is left though there is a tombstone, as after a restore.

    A phone that was an erased person's may have been somebody else's when a backup was made.
    """
    tombstones = Tombstones.of(paths)
    if not tombstones:
        return None
    with duckdb.connect() as connection:
        rows = Rows(connection, paths)
        owners = rows.owners()
        people = {who for who in owners.values() if tombstones.covers(CUSTOMER, who)}
        back = [
            name
            for name in rows.all_identifiers()
            if tombstones.covers(IDENTIFIER, name)
            and not (name.startswith(_DIRECT) and owners.get(name, "") not in {*people, ""})
        ]
        return rows.subject(people, back) if people or back else None


def strongest_first(entity: Contract) -> list[str]:
    """The customer columns of an entity, in the order in which they say whose a row is."""

    def weakness(column: str) -> tuple[bool, int]:
        known = _STRENGTH.index(column) if column in _STRENGTH else len(_STRENGTH)
        return column not in entity.key, known

    return sorted(entity.customer_columns, key=weakness)


class Rows:
    """The rows of some people, on a connection that sees the lake as it is now.

    Args:
        connection: In memory.
        paths: The retailer's places.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, paths: Paths) -> None:
        self._connection = connection
        connection.execute("SET TimeZone = 'UTC'")
        Lake(paths).register(connection)
        connection.execute(
            "CREATE TABLE held AS SELECT identifier, customer_id, known_at "
            "FROM lake.customer_identifier WHERE customer_id IS NOT NULL"
        )
        self._create_own(paths.identity / "customer_identifier")
        for table in ("asked", "person"):
            self._set(table, ())

    def _create_own(self, folder: Path) -> None:
        """Make ``own_id``: the ids that customers would go back to, which no view shows."""
        self._connection.execute(
            "CREATE TABLE own_id (identifier VARCHAR, own_customer_id VARCHAR)"
        )
        table = DeltaTable(str(folder)) if DeltaTable.is_deltatable(str(folder)) else None
        if table is None or "own_customer_id" not in {f.name for f in table.schema().fields}:
            return
        if files := active_files(table):
            self._connection.execute(
                "INSERT INTO own_id SELECT identifier, own_customer_id "
                "FROM read_parquet($files, union_by_name = true)",
                {"files": files},
            )

    def all_identifiers(self) -> list[str]:
        """Every identifier of the map and of the customer columns of the lake."""
        parts = ["SELECT identifier FROM held"] + [
            f"SELECT {identifier(column)} FROM lake.{name}"
            for name, entity in contracts().items()
            for column in entity.customer_columns
        ]
        return self._texts(" UNION ".join(parts))

    def owners(self) -> dict[str, str]:
        """The customer of each identifier that has one."""
        rows = self._connection.execute("SELECT identifier, customer_id FROM held").fetchall()
        return dict(rows)

    def subject(self, customers: Collection[str], identifiers: Collection[str]) -> Subject:
        """As ``find_subject``."""
        people = self._people(customers, identifiers)
        self._set("person", people)
        found = set(identifiers) | set(
            self._texts("SELECT identifier FROM held WHERE customer_id IN (FROM person)")
        )
        while True:
            self._look_for(found)
            more = self._unclaimed() - found
            if not more:
                break
            found |= more
        shared = set(self._shared()) & found
        own = found - shared
        papers = self._documents()
        self._set_papers(papers)
        return Subject(
            customers=tuple(sorted(people)),
            identifiers=tuple(sorted(own)),
            shared=tuple(sorted(shared)),
            documents=papers,
            rows=self._rows_without(own),
            tokens=self._tokens({name for name in own if name.startswith(_DIRECT)}),
            origins=self._origins(),
            files=self._files(),
            known_since=self._known_since(),
        )

    def resume(self, subject: Subject) -> None:
        """Look for the rows of people who were found before."""
        self._set("person", subject.customers)
        self._set_papers(subject.documents)
        self._look_for({*subject.identifiers, *subject.shared})

    def _look_for(self, identifiers: Iterable[str]) -> None:
        """Note the rows that name any of these, with the customer that each is of."""
        self._set("asked", identifiers)
        for name, entity in contracts().items():
            if not entity.customer_columns:
                continue
            columns = strongest_first(entity)
            joins = "".join(
                f" LEFT JOIN held AS held_{place} ON held_{place}.identifier = row.{identifier(column)}"
                for place, column in enumerate(columns)
            )
            owner = ", ".join(f"held_{place}.customer_id" for place in range(len(columns)))
            named = " OR ".join(
                f"row.{identifier(column)} IN (FROM asked)" for column in entity.customer_columns
            )
            self._connection.execute(
                f"CREATE OR REPLACE TABLE named_{name} AS SELECT row.*, coalesce({owner}) AS owner "
                f"FROM lake.{name} AS row{joins} WHERE {named}"
            )

    def doomed(self, entity: Contract) -> str:
        """SQL of the condition that a row ``row`` of the lake is theirs, never null."""
        parts = []
        if entity.customer_columns:
            named = " OR ".join(
                f"coalesce(row.{identifier(c)} IN (FROM asked), false)"
                for c in entity.customer_columns
            )
            same = " AND ".join(
                f"kept.{identifier(c)} IS NOT DISTINCT FROM row.{identifier(c)}"
                for c in dict.fromkeys((*_ORIGIN, *entity.key))
            )
            others = "kept.owner IS NOT NULL AND kept.owner NOT IN (FROM person)"
            parts.append(
                f"(({named}) AND NOT EXISTS "
                f"(FROM named_{entity.entity} AS kept WHERE {others} AND {same}))"
            )
        for scope, key in row_keys(entity):
            if scope in documents():
                parts.append(f"coalesce(row.{identifier(key[0])} IN (FROM paper_{scope}), false)")
        return " OR ".join(parts) or "false"

    def _people(self, customers: Collection[str], identifiers: Collection[str]) -> set[str]:
        known = set(self._texts("SELECT DISTINCT customer_id FROM held"))
        if unknown := sorted(set(customers) - known):
            raise SubjectError(
                f"no customer {', '.join(unknown)}: they were erased or merged, or the id is mistyped; "
                "unified.customer_identifier lists customers, and --identifier finds one by what is theirs"
            )
        self._set("asked", identifiers)
        if unknown := sorted(set(identifiers) - set(self.all_identifiers())):
            raise SubjectError(
                f"{len(unknown)} of the identifiers stand on no row: give each as namespace:value or "
                "as a token, with a namespace of retailer.yaml"
            )
        people = set(customers) | set(
            self._texts("SELECT DISTINCT customer_id FROM held SEMI JOIN asked USING (identifier)")
        )
        # Ids that they had before stand in the map for nobody, and in events, the past and old scores.
        while True:
            self._set("person", people)
            fresh = set(self._texts(_EARLIER_IDS)) - people - known
            if not fresh:
                return people
            people |= fresh

    @property
    def _theirs(self) -> str:
        return "(owner IS NULL OR owner IN (FROM person))"

    def _over_named(self, select: str) -> str:
        """A query over the rows found of every entity; ``{column}`` is each of its customer columns."""
        return " UNION ".join(
            select.format(table=f"named_{name}", column=identifier(column))
            for name, entity in contracts().items()
            for column in entity.customer_columns
        )

    def _unclaimed(self) -> set[str]:
        """Identifiers on their rows that no customer has yet; nobody has junk."""
        junk = "SELECT identifier FROM lake.customer_identifier WHERE is_junk"
        query = self._over_named(
            f"SELECT {{column}} AS identifier FROM {{table}} WHERE {self._theirs} "
            "AND {column} IS NOT NULL"
        )
        return set(
            self._texts(
                f"SELECT identifier FROM ({query}) ANTI JOIN held USING (identifier) "
                f"WHERE identifier NOT IN ({junk})"
            )
        )

    def _shared(self) -> list[str]:
        return self._texts(
            self._over_named(
                f"SELECT {{column}} FROM {{table}} WHERE NOT {self._theirs} AND {{column}} IN (FROM asked)"
            )
        )

    def _documents(self) -> dict[str, tuple[str, ...]]:
        found = {}
        for scope in documents():
            parts = [
                f"SELECT {identifier(key[0])} FROM named_{name} WHERE {self._theirs}"
                for name, entity in contracts().items()
                if entity.customer_columns
                for of, key in row_keys(entity)
                if of == scope
            ]
            found[scope] = tuple(sorted(filter(None, self._texts(" UNION ".join(parts)))))
        return {scope: keys for scope, keys in found.items() if keys}

    def _rows_without(self, own: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Keys of their rows that none of these identifiers keeps out, but for documents."""
        self._set("own", own)
        found = {}
        for name, entity in contracts().items():
            if not entity.customer_columns or name in documents():
                continue
            key = " || '|' || ".join(f"CAST({identifier(c)} AS VARCHAR)" for c in entity.key)
            named = " OR ".join(
                f"coalesce({identifier(c)} IN (FROM own), false)" for c in entity.customer_columns
            )
            found[name] = tuple(
                self._texts(
                    f"SELECT DISTINCT {key} FROM named_{name} WHERE {self._theirs} AND NOT ({named})"
                )
            )
        return {name: keys for name, keys in found.items() if keys}

    def _tokens(self, own: Collection[str]) -> tuple[str, ...]:
        """Tokens on their rows, and their own, that stand on no row that stays."""
        columns = [
            (entity, lake.name)
            for entity in contracts().values()
            for lake in entity.lake_columns
            if lake.name.endswith("_token") and lake.origin != lake.name
        ]
        conditions = {entity.entity: self.doomed(entity) for entity, _ in columns}
        theirs = " UNION ".join(
            f"SELECT {identifier(column)} AS token FROM lake.{entity.entity} AS row "
            f"WHERE {conditions[entity.entity]}"
            for entity, column in columns
        )
        self._set("asked_token", own)
        self._connection.execute(f"INSERT INTO asked_token SELECT token FROM ({theirs})")
        stays = " UNION ".join(
            f"SELECT {identifier(column)} AS token FROM lake.{entity.entity} AS row "
            f"WHERE {identifier(column)} IN (FROM asked_token) AND NOT ({conditions[entity.entity]})"
            for entity, column in columns
        )
        return tuple(
            self._texts(
                f"SELECT DISTINCT identifier FROM asked_token WHERE identifier NOT IN ({stays})"
            )
        )

    def _origins(self) -> dict[str, dict[str, tuple[tuple[str, int], ...]]]:
        found: dict[str, dict[str, tuple[tuple[str, int], ...]]] = {}
        for name, entity in contracts().items():
            rows = self._connection.execute(
                f"SELECT _batch_id, list(DISTINCT (_file, _row)) FROM lake.{name} AS row "
                f"WHERE {self.doomed(entity)} GROUP BY ALL ORDER BY ALL"
            ).fetchall()
            if rows:
                found[name] = {batch: tuple(sorted(map(tuple, places))) for batch, places in rows}
        return found

    def _files(self) -> dict[str, tuple[str, ...]]:
        theirs = " UNION ".join(
            f"SELECT _source, _file FROM lake.{name} AS row WHERE {self.doomed(entity)}"
            for name, entity in contracts().items()
        )
        rows = self._connection.execute(
            f"SELECT _source, list(_file ORDER BY _file) FROM ({theirs}) GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        return {source: tuple(files) for source, files in rows}

    def _known_since(self) -> str:
        row = self._connection.execute(
            "SELECT min(known_at) FROM held WHERE customer_id IN (FROM person)"
        ).fetchone()
        since: datetime | None = None if row is None else row[0]
        return since.isoformat() if since else ""

    def _set_papers(self, papers: Mapping[str, Iterable[str]]) -> None:
        for scope in documents():
            self._set(f"paper_{scope}", papers.get(scope, ()))

    def _set(self, table: str, texts: Iterable[str]) -> None:
        self._connection.execute(
            f"CREATE OR REPLACE TABLE {table} AS SELECT unnest(CAST($texts AS VARCHAR[])) AS identifier",
            {"texts": sorted(texts)},
        )

    def _texts(self, query: str) -> list[str]:
        rows = self._connection.execute(query).fetchall()
        return sorted({str(row[0]) for row in rows if row[0] is not None})
