"""A look at a new retailer's folder before anything runs: what is missing, what is mistyped.

What belongs here: reading a sample of each input, running the mappings over it, and saying what
came of it, column by column. Nothing is written. What does not: landing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import duckdb
from pydantic import BaseModel, ConfigDict

from siyu.config import Settings
from siyu.contracts import Contract, contract, contracts
from siyu.identity_rules import read_rules
from siyu.ingestion.connectors import CONNECTORS, Found
from siyu.ingestion.errors import InputError
from siyu.ingestion.headers import Known, folded
from siyu.ingestion.landing import Job, bind_lookups, converting, judged
from siyu.ingestion.mapping import (
    MappingSql,
    columns_named,
    columns_needed,
    create_macros,
    load_mapping,
)
from siyu.ingestion.readers import (
    MALFORMED,
    SCHEMA,
    bind_empty,
    bind_files,
    columns_of,
    create_malformed,
)
from siyu.redaction import explained
from siyu.retailer import Retailer, RetailerError, read_retailer

_SAMPLED_FILES = 3
_SAMPLED_RECORDS = 10_000
_CHECKED = f"{SCHEMA}.checked"

Status = Literal["supplied", "optional missing", "required missing", "mistyped"]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class InputCheck(_Data):
    """What was found of one input.

    Attributes:
        name: The input.
        files: How many files there are.
        found: Columns that the files have, but for those whose names may be data.
        used: Those that some mapping mentions.
        unnamed: How many others there are.
        error: Why it cannot be read, or empty.
    """

    name: str
    files: int
    found: tuple[str, ...] = ()
    used: tuple[str, ...] = ()
    unnamed: int = 0
    error: str = ""


class ColumnCheck(_Data):
    """What the sample says of one column of a contract.

    Attributes:
        name: The column.
        status: ``mistyped`` when a sampled value does not fit the contract's type.
        expected: The contract's type.
        found: The mapping's type; empty when it does not yield the column.
        broken: Sampled rows that break a rule on it, by rule.
        example: ``file:row`` of the first of them.
    """

    name: str
    status: Status
    expected: str
    found: str = ""
    broken: Mapping[str, int] = {}
    example: str = ""


class EntityCheck(_Data):
    """What a mapping makes of a sample of one input.

    Attributes:
        entity: The entity.
        source: The input; empty when the mapping cannot be read at all.
        rows: Sampled rows that the mapping yields.
        malformed: Sampled records that cannot be read.
        rejected: Sampled rows that break a rule.
        columns: Every column of the contract.
        error: Why it cannot land, or empty.
    """

    entity: str
    source: str
    rows: int = 0
    malformed: int = 0
    rejected: int = 0
    columns: tuple[ColumnCheck, ...] = ()
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether it can land."""
        missing = any(column.status == "required missing" for column in self.columns)
        return not self.error and not missing


class RetailerCheck(_Data):
    """What is missing or mistyped in a retailer's folder.

    Attributes:
        retailer: Its name.
        inputs: Every input.
        entities: Every mapping, by input.
        identity_rules: How many manual identity rules there are.
        rules_error: Why they cannot be read, or empty.
    """

    retailer: str
    inputs: tuple[InputCheck, ...]
    entities: tuple[EntityCheck, ...]
    identity_rules: int = 0
    rules_error: str = ""

    @property
    def ok(self) -> bool:
        """Whether every input and rule can be read, and there are mappings, all of which can land."""
        sound = not any(i.error for i in self.inputs) and all(e.ok for e in self.entities)
        return sound and bool(self.entities) and not self.rules_error

    @property
    def lacking(self) -> tuple[str, ...]:
        """Entities without a mapping."""
        supplied = {found.entity for found in self.entities}
        return tuple(name for name in contracts() if name not in supplied)

    def report(self) -> str:
        """The same as text for a person."""
        lines = [*self._input_lines(), *self._entity_lines()]
        if self.lacking:
            lines.append(f"entities not supplied: {', '.join(self.lacking)}")
        if self.identity_rules:
            lines.append(f"manual identity rules: {self.identity_rules}")
        if self.rules_error:
            lines.append(f"manual identity rules\n  ERROR {self.rules_error}")
        if not self.entities:
            lines.append("  ERROR no mapping: write one <entity>.sql for each entity you have")
        return "\n".join([*lines, self._verdict()])

    def _input_lines(self) -> Iterator[str]:
        for found in self.inputs:
            unused = [column for column in found.found if column not in found.used]
            columns = len(found.found) + found.unnamed
            yield f"input {found.name}: {found.files} files, {columns} columns"
            if found.unnamed:
                yield (
                    f"  the names of {found.unnamed} of them look like data and are not repeated: is "
                    "the header missing, or delim another?"
                )
            if unused:
                yield f"  no mapping uses {', '.join(unused)}"
            if found.error:
                yield f"  ERROR {found.error}"

    def _entity_lines(self) -> Iterator[str]:
        for entity in self.entities:
            head = f"{entity.entity} from {entity.source}" if entity.source else entity.entity
            yield f"{head}: {entity.rows} rows sampled, {entity.malformed} records unreadable"
            if entity.error:
                yield f"  ERROR {entity.error}"
            missing = [c.name for c in entity.columns if c.status == "optional missing"]
            if missing:
                yield f"  not supplied (optional): {', '.join(missing)}"
            for column in entity.columns:
                if column.status == "required missing":
                    yield f"  ERROR {column.name}: {column.status}, expected {column.expected}"
                if column.status == "mistyped":
                    expected = f"expected {column.expected}, found {column.found}"
                    yield f"  {column.name}: {column.status}, {expected}"
                if column.broken:
                    said = ", ".join(f"{rule} {rows} rows" for rule, rows in column.broken.items())
                    yield f"  {column.name}: {said}, first at {column.example}"

    def _verdict(self) -> str:
        return f"{self.retailer}: " + ("ready to land" if self.ok else "not ready: see ERROR above")


def check_retailer(folder: Path, settings: Settings) -> RetailerCheck:
    """Look at a retailer's folder and a sample of its files; write nothing.

    Args:
        folder: Holds retailer.yaml and the mappings.
        settings: Fills the variables of locations.

    Returns:
        What was found, input by input and column by column.

    Raises:
        RetailerError: retailer.yaml itself cannot be read.
    """
    retailer = read_retailer(folder)
    # What was pulled lies in the home of the retailer that is looked at, whichever is selected.
    settings = replace(settings, retailer=folder.name)
    now = datetime.now(UTC)
    mappings: dict[str, MappingSql] = {}
    entities: list[EntityCheck] = []
    for entity in retailer.mappings:
        try:
            mappings[entity] = load_mapping(retailer, entity)
        except InputError as error:
            entities.append(EntityCheck(entity=entity, source="", error=str(error)))
    used = frozenset[str]().union(*(columns_named(mapping) for mapping in mappings.values()))
    contracted = [c.name for entity in mappings for c in contract(entity).columns]
    needed = (columns_needed(mapping, contract(entity)) for entity, mapping in mappings.items())
    known = Known(folded(used, contracted), frozenset[str]().union(*needed))
    found: dict[str, Found] = {}
    inputs = []
    for name in retailer.inputs:
        checked, found[name] = _check_input(retailer, name, settings, known, used, now)
        inputs.append(checked)
    for entity, mapping in mappings.items():
        job = Job(settings, retailer, contract(entity), mapping, found, "check", now)
        entities += [_check_entity(job, source) for source in mapping.inputs]
    rules, rules_error = _check_rules(retailer)
    return RetailerCheck(
        retailer=retailer.name,
        inputs=tuple(inputs),
        entities=tuple(sorted(entities, key=lambda e: (e.entity, e.source))),
        identity_rules=rules,
        rules_error=rules_error,
    )


def _check_rules(retailer: Retailer) -> tuple[int, str]:
    """How many manual identity rules there are, and why they cannot be read."""
    try:
        return len(read_rules(retailer)), ""
    except RetailerError as error:
        return 0, str(error)


def _check_input(
    retailer: Retailer,
    name: str,
    settings: Settings,
    known: Known,
    used: frozenset[str],
    now: datetime,
) -> tuple[InputCheck, Found]:
    source = retailer.inputs[name]
    try:
        found = CONNECTORS[source.connector](name, source, settings, now)
    except InputError as error:
        return InputCheck(name=name, files=0, error=str(error)), Found(source.location, ())
    if not found.files:
        missing = (
            f"no file at {found.location}"
            if source.connection is None
            else f"nothing has been pulled from connection {source.connection} yet"
        )
        return InputCheck(name=name, files=0, error=missing), found
    sample = Found(found.location, found.files[:_SAMPLED_FILES])
    try:
        with duckdb.connect() as connection:
            columns = columns_of(connection, name, source, sample.files)
    except InputError as error:
        return InputCheck(name=name, files=len(found.files), error=str(error)), sample
    shown = Known(folded(known.names, source.columns), known.needed).shown(columns)
    checked = InputCheck(
        name=name, files=len(found.files), found=tuple(shown),
        used=tuple(column for column in shown if column.lower() in used),
        unnamed=len(columns) - len(shown),
    )  # fmt: skip
    return checked, sample


def _check_entity(job: Job, source: str) -> EntityCheck:
    """Run the mapping over a sample of one input."""
    name = job.entity.entity
    if not job.found[source].files:
        return EntityCheck(entity=name, source=source)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        create_malformed(connection)
        create_macros(connection, job.retailer, job.now)
        try:
            records = _bind(connection, job, source)
            described = connection.execute(f"DESCRIBE {job.mapping.query}").fetchall()
        except InputError as error:
            return EntityCheck(entity=name, source=source, error=str(error))
        except duckdb.Error as error:
            said = f"{job.mapping.file}: {explained(error)}"
            return EntityCheck(entity=name, source=source, error=said)
        mapped = {str(row[0]).lower(): str(row[1]) for row in described}
        try:
            query = judged(connection, job, source)[1]
            with converting(job, source):
                connection.execute(f"CREATE TABLE {_CHECKED} AS {query}")
        except InputError as error:
            columns = _columns(job.entity, mapped, {}, _numbered(job))
            return EntityCheck(entity=name, source=source, columns=columns, error=str(error))
        broken = _broken(connection)
        rows, rejected, malformed = connection.execute(
            f"SELECT count(*), count(*) FILTER (_bad), (SELECT count(*) FROM {MALFORMED}) "
            f"FROM {_CHECKED}"
        ).fetchone() or (0, 0, 0)
    return EntityCheck(
        entity=name, source=source, rows=rows, malformed=malformed, rejected=rejected,
        columns=_columns(job.entity, mapped, broken, _numbered(job)),
        error=_unusable(job, source, rows, malformed, rejected) if records else "",
    )  # fmt: skip


def _unusable(job: Job, source: str, rows: int, malformed: int, rejected: int) -> str:
    """Why the lake's gate would refuse what becomes of the sampled records, or empty."""
    bad, read = malformed + rejected, rows + malformed
    if not rows and not bad:
        return (
            f"{job.mapping.file} yields no row of the records sampled from {source}; see its WHERE, "
            "and format and columns of the input in retailer.yaml"
        )
    allowed = job.retailer.entity(job.entity.entity).max_quarantined_share
    if bad <= allowed * read:
        return ""
    return (
        f"{bad} of {read} sampled rows would be quarantined ({bad / read:.2%}), and at most "
        f"{allowed:.2%} may be; mend the mapping or the file, or raise max_quarantined_share of "
        f"entities.{job.entity.entity} in retailer.yaml with a note why"
    )


def _numbered(job: Job) -> bool:
    return job.retailer.entity(job.entity.entity).line_no == "occurrence"


def _bind(connection: duckdb.DuckDBPyConnection, job: Job, source: str) -> int:
    """Make the views of a mapping's inputs, one of them over a sample.

    Returns:
        Records that the sampled files hold.
    """
    bind_lookups(connection, job)
    mentioned = columns_named(job.mapping)
    for name in job.mapping.inputs:
        if name != source:
            settings, files = job.retailer.inputs[name], job.found[name].files
            bind_empty(connection, name, settings, files, mentioned)
    settings, files = job.retailer.inputs[source], job.found[source].files
    return sum(bind_files(connection, source, settings, files, _SAMPLED_RECORDS).records.values())


def _broken(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[dict[str, int], str]]:
    """By column: rows by the rule they break, and ``file:row`` of the first."""
    found: dict[str, tuple[dict[str, int], str]] = {}
    for column, rule, rows, example in connection.execute(
        "SELECT broken.column, broken.rule, count(*), "
        "arg_min(_file || ':' || _row, (_file, _row)) FROM "
        f"(SELECT _file, _row, unnest(_rules) AS broken FROM {_CHECKED} WHERE _bad) "
        "GROUP BY ALL ORDER BY ALL"
    ).fetchall():
        rules, first = found.setdefault(column, ({}, example))
        rules[rule] = rows
        found[column] = (rules, min(first, example))
    return found


def _columns(
    entity: Contract,
    mapped: Mapping[str, str],
    broken: Mapping[str, tuple[dict[str, int], str]],
    numbered: bool,
) -> tuple[ColumnCheck, ...]:
    checks = []
    for column in entity.columns:
        rules, example = broken.get(column.name, ({}, ""))
        supplied = column.name in mapped or (numbered and column.name == "line_no")
        status: Status = "supplied"
        if not supplied:
            status = "required missing" if column.required else "optional missing"
        elif "type" in rules:
            status = "mistyped"
        checks.append(
            ColumnCheck(
                name=column.name,
                status=status,
                expected=column.sql_type,
                found=mapped.get(column.name, ""),
                broken=rules,
                example=example,
            )
        )
    return tuple(checks)
