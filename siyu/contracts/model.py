"""Typed contracts, read once from ``entities/*.yaml``.

A contract speaks of two shapes. The *mapping* shape is what a retailer's SQL must yield: the
contract's columns, direct identifiers in clear. The *lake* shape is what is stored: direct
identifiers replaced by tokens and by what may be derived of them, a local date beside every
timestamp, and the audit columns that landing adds.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache, cached_property
from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from siyu.yamls import read_yaml

ColumnType = Literal[
    "string", "identifier", "currency", "integer", "decimal", "boolean", "date", "timestamp"
]
PiiClass = Literal["none", "pseudonymous", "direct", "free_text"]
DirectKind = Literal["phone", "email", "name", "address", "birth_date"]

_SQL_TYPES: dict[str, str] = {
    "string": "VARCHAR",
    "identifier": "VARCHAR",
    "currency": "VARCHAR",
    "integer": "BIGINT",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}


class ContractError(Exception):
    """A contract file is malformed, or an entity is asked for that has no contract."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(_Data):
    """One column of the mapping shape."""

    name: str
    type: ColumnType
    en: str
    zh: str
    required: bool = False
    pii: PiiClass = "none"
    kind: DirectKind | None = None
    customer: bool = Field(default=False, description="identifies a customer")
    values: tuple[str, ...] = ()
    min: int | None = None
    max: int | None = None
    scale: int = 4
    unit: str | None = Field(default=None, description="what it counts, after 'in'")
    default: str | int | bool | None = Field(
        default=None, description="what rows have that landed before the column existed"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Column:
        if (self.pii == "direct") != (self.kind is not None):
            raise ValueError(f"{self.name}: pii: direct and kind: go together")
        return self

    @property
    def sql_type(self) -> str:
        """DuckDB type of the column in the mapping shape."""
        if self.type == "decimal":
            return f"DECIMAL(18,{self.scale})"
        return _SQL_TYPES[self.type]

    @property
    def pii_class(self) -> PiiClass:
        """The declared class; identifiers are pseudonymous unless they say otherwise."""
        return "pseudonymous" if self.type == "identifier" and self.pii == "none" else self.pii


class LakeColumn(_Data):
    """One column of the lake shape, with where it comes from."""

    name: str
    sql_type: str
    en: str
    zh: str
    required: bool = False
    pii: PiiClass = "none"
    origin: str = Field(description="column of the mapping shape, or '' for an audit column")


class Reference(_Data):
    """Columns that name a row of another entity; checked after landing, across rows."""

    columns: tuple[str, ...]
    entity: str


AUDIT_COLUMNS: tuple[LakeColumn, ...] = (
    LakeColumn(name="_source", sql_type="VARCHAR", origin="", required=True,
               en="Input the row came from", zh="来源输入"),
    LakeColumn(name="_batch_id", sql_type="VARCHAR", origin="", required=True,
               en="Batch that landed the row", zh="批次"),
    LakeColumn(name="_file", sql_type="VARCHAR", origin="", required=True,
               en="File the row came from", zh="来源文件"),
    LakeColumn(name="_row", sql_type="BIGINT", origin="", required=True,
               en="Record number in that file, from 1", zh="行号"),
    LakeColumn(name="_event_at", sql_type="TIMESTAMP", origin="",
               en="When it happened (UTC); empty for entities without an event time",
               zh="事件时间（UTC）"),
    LakeColumn(name="_event_date", sql_type="DATE", origin="",
               en="The retailer's local day of the event", zh="事件当地日期"),
    LakeColumn(name="_known_at", sql_type="TIMESTAMP", origin="", required=True,
               en="When the retailer's systems could know this version of the row (UTC)",
               zh="可知时间（UTC）"),
    LakeColumn(name="_loaded_at", sql_type="TIMESTAMP", origin="", required=True,
               en="When the row was landed (UTC)", zh="入湖时间（UTC）"),
)  # fmt: skip

_RECORDED_AT = Column(
    name="recorded_at",
    type="timestamp",
    en="When the source system recorded this row; its arrival time in history loads",
    zh="来源系统记录时间",
)


class Contract(_Data):
    """One canonical entity."""

    entity: str
    en: str
    zh: str
    key: tuple[str, ...]
    version: str | None = None
    event_time: str | None = None
    contract_version: int = Field(default=1, ge=1, description="raised with each change to data")
    columns: tuple[Column, ...]
    references: tuple[Reference, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Contract:
        by_name = {column.name: column for column in self.columns}
        named = (*self.key, *filter(None, (self.version, self.event_time)))
        unknown = [name for name in named if name not in by_name]
        unknown += [n for ref in self.references for n in ref.columns if n not in by_name]
        if unknown:
            raise ValueError(f"no such column: {', '.join(unknown)}")
        optional = [name for name in self.key if not by_name[name].required]
        if optional:
            raise ValueError(f"key columns must be required: {', '.join(optional)}")
        return self

    def column(self, name: str) -> Column:
        """The column of that name in the mapping shape."""
        for column in self.columns:
            if column.name == name:
                return column
        raise ContractError(f"{self.entity} has no column {name}")

    @cached_property
    def direct_columns(self) -> tuple[Column, ...]:
        """Columns that hold direct identifiers and never reach the lake in clear."""
        return tuple(column for column in self.columns if column.pii == "direct")

    @cached_property
    def customer_columns(self) -> tuple[str, ...]:
        """Lake columns that identify a customer, tokens included."""
        return tuple(
            f"{column.name}_token" if column.pii == "direct" else column.name
            for column in self.columns
            if column.customer
        )

    @cached_property
    def lake_columns(self) -> tuple[LakeColumn, ...]:
        """Columns of the entity's Delta table, in order, audit columns last."""
        stored = tuple(lake for column in self.columns for lake in _stored(column))
        return stored + AUDIT_COLUMNS

    @cached_property
    def sha256(self) -> str:
        """Hash of all that the contract says about data; descriptions do not count."""
        said = self.model_dump(mode="json")
        for column in said["columns"]:
            # A default speaks of what landed before, not of what a mapping yields.
            del column["en"], column["zh"], column["default"]
            # Its unit is a word about it too; what has landed was hashed when none was said.
            column["unit"] = None
        del said["en"], said["zh"], said["contract_version"]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _stored(column: Column) -> tuple[LakeColumn, ...]:
    """What the lake keeps of one column of the mapping shape."""

    def lake(name: str, sql_type: str, en: str, zh: str, pii: PiiClass) -> LakeColumn:
        required = column.required and name == column.name
        return LakeColumn(
            name=name, sql_type=sql_type, en=en, zh=zh, pii=pii,
            origin=column.name, required=required,
        )  # fmt: skip

    if column.pii == "direct":
        token = lake(f"{column.name}_token", "VARCHAR", f"Token of: {column.en}",
                     f"{column.zh}（令牌）", "pseudonymous")  # fmt: skip
        if column.kind != "birth_date":
            return (token,)
        stem = column.name.removesuffix("_date")
        return (
            token,
            lake(f"{stem}_year", "BIGINT", "Year of birth", "出生年", "none"),
            lake(f"{stem}_month", "BIGINT", "Month of birth", "出生月", "none"),
        )
    stored = lake(column.name, column.sql_type, column.en, column.zh, column.pii_class)
    if column.type != "timestamp":
        return (stored,)
    local = f"{column.name.removesuffix('_at')}_date"
    return (
        stored,
        lake(local, "DATE", f"Local day: {column.en}", f"{column.zh}（当地日期）", "none"),
    )


def _read(text: str, where: str) -> Contract:
    try:
        said = read_yaml(text)
        columns = said.pop("columns")
        said["columns"] = [{"name": name, **column} for name, column in columns.items()]
        said["columns"].append(_RECORDED_AT.model_dump())
        return Contract.model_validate(said)
    except (yaml.YAMLError, ValidationError, KeyError, TypeError, AttributeError) as error:
        raise ContractError(f"{where}: {error}") from error


@cache
def contracts() -> dict[str, Contract]:
    """All contracts by entity name, in alphabetical order."""
    folder = resources.files("siyu.contracts") / "entities"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda f: f.name
    )
    read = [(file.name, _read(file.read_text("utf-8"), file.name)) for file in files]
    for name, found in read:
        if name != f"{found.entity}.yaml":
            raise ContractError(f"{name}: says it is {found.entity}")
    known = {found.entity: found for _, found in read}
    for found in known.values():
        for reference in found.references:
            if reference.entity not in known:
                raise ContractError(f"{found.entity}: refers to unknown {reference.entity}")
    return known


def contract(entity: str) -> Contract:
    """The contract of one entity.

    Raises:
        ContractError: there is no such entity.
    """
    known = contracts()
    if entity not in known:
        raise ContractError(f"no contract for {entity!r}; known: {', '.join(known)}")
    return known[entity]
