"""A retailer's settings, read from ``retailers/<name>/retailer.yaml``.

What belongs here: the typed form of retailer.yaml and the list of entity mappings beside it. What
does not: running a mapping (``siyu.ingestion``). Locations keep their ``${VAR}``; they are filled
in when an input is opened, so that definitions load without the environment of a run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from datetime import date
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from siyu.config import Settings
from siyu.contracts import contracts, integrity_rules
from siyu.yamls import read_yaml


class RetailerError(Exception):
    """A retailer's folder cannot be used; the message says which file, what, and what to do."""


VARIABLE = re.compile(r"\$\{(\w+)\}")

# Thresholds of gates that ``gates:`` may move, with their defaults. Beside them, ``max_<rule>`` limits
# the cases of a rule across rows (``siyu.contracts.integrity_rules``), which has no default.
THRESHOLDS: Mapping[str, float] = {
    "min_order_coverage": 0.5,
    "min_revenue_coverage": 0.5,
    "min_interaction_coverage": 0.2,
    "max_junk_identifier_share": 0.05,
    "min_customers": 1,
    # Of the 28 days up to the as-of day, below the year before them.
    "max_coverage_drop": 0.10,
    "max_customer_identifiers": 20,
    "max_refused_edge_share": 0.05,
    "max_merge_rate": 0.10,
    "max_merge_rate_jump": 5,
    "max_density_drop": 0.10,
    "max_bridge_share_rise": 0.10,
    "max_score_bias": 0.25,
    "min_volume_usual": 0.5,
    "min_volume_kept": 0.2,
    "min_sync_rate": 0.95,
    # Between a training season and a test season the base rate moves by a few points, which no model
    # of the customer can know; a much lower limit refuses every model of a seasonal retailer.
    "model_max_ece": 0.10,
}

# Inputs are tables in the mappings and folders in the lake, so their names must be plain.
InputName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


# Where a DSN may have a password: between the user and the last @, or as a parameter.
_PASSWORDS = re.compile(
    r"""://[^:@/?]*:(?P<after_user>.*)@|password\s*=\s*(?P<parameter>'[^']*'|[^\s&]*)"""
)


def _from_environment(said: str) -> str:
    if said and not VARIABLE.fullmatch(said):
        raise ValueError(
            "write a variable, such as ${SECRET}: credentials come from the environment"
        )
    return said


def _password_from_environment(dsn: str) -> str:
    for found in _PASSWORDS.finditer(dsn):
        password = found["after_user"] if found["parameter"] is None else found["parameter"]
        if password.strip("'") and not VARIABLE.fullmatch(password.strip("'")):
            raise ValueError(
                "write the password as a variable, such as "
                "postgresql://reader:${ERP_PASSWORD}@db:5432/erp: credentials come from the "
                "environment"
            )
    return dsn


# A credential: nothing but a variable, so that no secret is ever in a file.
Secret = Annotated[str, AfterValidator(_from_environment)]
Dsn = Annotated[str, AfterValidator(_password_from_environment)]


class _Data(BaseModel):
    # What is in a field that is refused may be a secret.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Namespace(_Data):
    """One namespace of customer identifiers.

    Attributes:
        type: Kind of identifier.
        cap: How many of this namespace one customer may have; None for no cap.
    """

    type: Literal["member_id", "unionid", "openid", "external_userid", "buyer_id", "card"]
    cap: int | None = Field(default=None, ge=1)


class _Connection(_Data):
    """A system that is asked over the network; every text may hold ``${VAR}``, a credential must be one.

    Attributes:
        timeout_seconds: How long one answer may take.
        every_minutes: How often it is asked for what is new.
    """

    timeout_seconds: float = Field(default=30, gt=0)
    every_minutes: int = Field(default=60, ge=1)
    en: str = ""


class PostgresConnection(_Connection):
    """A PostgreSQL database.

    Attributes:
        dsn: A libpq URI, such as ``postgresql://reader:${ERP_PASSWORD}@db:5432/erp``.
    """

    type: Literal["postgres"]
    dsn: Dsn


class WecomConnection(_Connection):
    """A WeCom corporation's API.

    Attributes:
        base_url: Where the API answers.
        corp_id: The corporation.
        secret: Secret of the app that may read customer contacts.
        callback_token: Signs callbacks, where they are received.
        callback_key: Encrypts callbacks (EncodingAESKey).
    """

    type: Literal["wecom"]
    base_url: str = "https://qyapi.weixin.qq.com"
    corp_id: str
    secret: Secret
    callback_token: Secret = ""
    callback_key: Secret = ""


class MallConnection(_Connection):
    """An online mall with a Youzan-like trade API.

    Attributes:
        base_url: Where the API answers.
        client_id: The app.
        client_secret: Its secret.
        shop_id: The shop that grants access (``grant_id``).
    """

    type: Literal["mall"]
    base_url: str = "https://open.youzanyun.com"
    client_id: str
    client_secret: Secret
    shop_id: str


class ObjectsConnection(_Connection):
    """Object storage that speaks S3.

    Attributes:
        bucket: The bucket, with a prefix where there is one.
        endpoint: Host and port, where it is not AWS.
        region: Region of the bucket.
        access_key: Key id.
        secret_key: Its secret.
        scheme: ``http`` only for storage on this machine.
        virtual_hosts: Whether the bucket stands before the endpoint's host, as Alibaba's OSS and
            Tencent's COS want it; always so on AWS.
    """

    type: Literal["objects"]
    bucket: str
    endpoint: str = ""
    region: str = "us-east-1"
    access_key: Secret = ""
    secret_key: Secret = ""
    scheme: Literal["https", "http"] = "https"
    virtual_hosts: bool = False


Connection = Annotated[
    PostgresConnection | WecomConnection | MallConnection | ObjectsConnection,
    Field(discriminator="type"),
]


class Pull(_Data):
    """How an input is asked for what is new.

    Attributes:
        mode: ``incremental`` asks from the last cursor on; ``snapshot`` reads everything and keeps
            what changed.
        cursor: Column or field that says when a record last changed (incremental).
        overlap_seconds: How far before the last cursor to ask again, for rows that became visible
            late; what comes twice is dropped at landing.
        key: Columns that identify a record (snapshot).
        window_days: Longest span asked for at once, where the source limits it.
    """

    mode: Literal["incremental", "snapshot"] = "incremental"
    cursor: str = ""
    overlap_seconds: int = Field(default=300, ge=0)
    key: tuple[str, ...] = ()
    window_days: int = Field(default=7, ge=1)


class Freshness(_Data):
    """How old the data of an input may be: 0 days when it is complete through yesterday.

    Attributes:
        warn_days: Above so many days a check warns.
        fail_days: Above so many days it stops what reads the input.
    """

    warn_days: int | None = Field(default=None, ge=0)
    fail_days: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _says_something(self) -> Freshness:
        if self.warn_days is None and self.fail_days is None:
            raise ValueError("say warn_days, fail_days or both")
        if self.fail_days is not None and (self.warn_days or 0) > self.fail_days:
            raise ValueError("warn_days is more than fail_days, so it would never warn")
        return self


class Input(_Data):
    """Where one source's records lie and how to read them.

    Attributes:
        connection: Name of the connection to ask; None for files on this machine.
        format: ``csv``, ``jsonl``, ``json`` (one document a file) or ``parquet``.
        location: Path or glob, ``${VAR}`` being filled in from the environment; with a connection,
            what to ask it for: a table, a resource, a glob of objects.
        pull: How to ask a connection.
        columns: Source columns with their DuckDB types; for JSON only these are read.
        options: Reader options of the format, such as ``delim`` for CSV.
        complete_through: Last local day the source is complete for, where the retailer knows it;
            otherwise the day before the last event seen.
        required: Whether ``as_of`` waits for this input.
        lookup: Read in full beside the other inputs of a mapping, for small code lists; when its
            files change, what was mapped with them is mapped anew.
        settle_seconds: Age below which a file is taken to be still growing, by its time of change
            and this machine's clock. For drops that are not atomic: at 0 a file that pauses while
            it is written is taken for whole.
        expected_every_hours: How often something new is expected to land.
        freshness: How old its data may be; None for what is not judged.
    """

    connection: str | None = None
    format: Literal["csv", "jsonl", "json", "parquet"]
    location: str
    columns: Mapping[str, str] = {}
    options: Mapping[str, str | bool | int] = {}
    complete_through: date | None = None
    required: bool = False
    lookup: bool = False
    settle_seconds: int = Field(default=0, ge=0)
    pull: Pull = Pull()
    expected_every_hours: float | None = Field(default=None, gt=0)
    freshness: Freshness | None = None
    en: str = ""

    @property
    def connector(self) -> Literal["files", "raw"]:
        """Where its files are found: where the retailer puts them, or where pulls do."""
        return "files" if self.connection is None else "raw"


class EntitySettings(_Data):
    """What a retailer decides about one entity.

    Attributes:
        line_no: ``occurrence`` numbers the lines inside an order at landing, for sources without
            a key per line; exact repeats are then kept as lines of their own.
        min_rows: Fewest rows the lake must hold.
        max_quarantined_share: Largest share of rows that may be quarantined, 0 to 1.
        keys_from_several_inputs: Whether two inputs mean the same thing by the same key, so that the
            newer row replaces the other input's.
        note: Why, for whoever reads the gate's result.
    """

    line_no: Literal["occurrence"] | None = None
    min_rows: int = Field(default=1, ge=1)
    max_quarantined_share: float = Field(default=0.01, ge=0, le=1)
    keys_from_several_inputs: bool = False
    note: str = ""


class ModelSettings(_Data):
    """One prediction task.

    Attributes:
        horizon_days: Length of the label's window.
        lead_days: Days between as_of and the window's first day.
        active_days: Only customers with a purchase in the last so many days; None for all.
        snapshot_every_days: Distance between as-of snapshots.
        retrain_every_days: Age at which training is due again.
    """

    horizon_days: int = Field(ge=1)
    lead_days: int = Field(default=0, ge=0)
    active_days: int | None = None
    snapshot_every_days: int = Field(default=30, ge=1)
    retrain_every_days: int = Field(default=7, ge=1)


class ProbabilisticLinks(_Data):
    """Links between members that no identifier proves: alike by name, birth date and address.

    Attributes:
        propose_above: Probability from which on a pair is kept for review, 0 to 1.
        link_above: Probability from which on it is taken as an edge, below all that sources prove;
            None to propose only.
    """

    propose_above: float = Field(default=0.9, ge=0.5, le=1)
    link_above: float | None = Field(default=None, ge=0.5, le=1)

    @model_validator(mode="after")
    def _what_is_linked_is_proposed(self) -> ProbabilisticLinks:
        if self.link_above is not None and self.link_above < self.propose_above:
            raise ValueError("link_above is below propose_above: what is linked is proposed too")
        return self


class Retailer(_Data):
    """Everything a retailer says about itself."""

    name: str
    en: str
    zh: str
    timezone: str
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    phone_region: str = Field(default="CN", description="region of phones without a prefix")
    history_from: date = Field(description="first local day of the data; events before are refused")
    history_to: date | None = Field(default=None, description="last local day of a closed data set")
    identifiers: Mapping[str, Namespace]
    connections: Mapping[str, Connection] = {}
    inputs: Mapping[InputName, Input]
    entities: Mapping[str, EntitySettings] = {}
    models: Mapping[Literal["churn", "repurchase"], ModelSettings]
    probabilistic_links: ProbabilisticLinks | None = Field(
        default=None, description="links by likeness, where wanted; needs siyu[probabilistic]"
    )
    gates: Mapping[str, float] = Field(
        default={}, description="thresholds by gate, for those that differ from the default"
    )
    folder: Path

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        ZoneInfo(value)
        return value

    @field_validator("entities")
    @classmethod
    def _known_entities(cls, value: Mapping[str, EntitySettings]) -> Mapping[str, EntitySettings]:
        require_known("entity", value, contracts())
        return value

    @field_validator("gates")
    @classmethod
    def _known_gates(cls, value: Mapping[str, float]) -> Mapping[str, float]:
        limits = (f"max_{rule}" for rule in integrity_rules())
        require_known("threshold", value, (*THRESHOLDS, *limits))
        return value

    @model_validator(mode="after")
    def _known_connections(self) -> Retailer:
        for name, source in self.inputs.items():
            if source.connection is not None and source.connection not in self.connections:
                raise ValueError(
                    f"input {name} asks for connection {source.connection}, which is not among "
                    f"{', '.join(self.connections) or 'the connections, of which there are none'}"
                )
        return self

    @cached_property
    def mappings(self) -> dict[str, Path]:
        """Mapping SQL by entity, for the entities this retailer can supply."""
        found = {file.stem: file for file in sorted(self.folder.glob("*.sql"))}
        try:
            require_known("entity", found, contracts())
        except ValueError as error:
            raise RetailerError(f"{self.folder}: {error}: rename its .sql") from None
        return found

    def entity(self, name: str) -> EntitySettings:
        """Settings of one entity, defaults where the retailer is silent."""
        return self.entities.get(name, EntitySettings())

    def threshold(self, name: str) -> float:
        """A threshold of a gate, its default where the retailer is silent."""
        return self.gates.get(name, THRESHOLDS[name])


def require_known(kind: str, named: Iterable[str], known: Iterable[str]) -> None:
    """See that every name is known.

    Raises:
        ValueError: one is not; says which it is nearest to.
    """
    known = tuple(known)
    for name in named:
        if name not in known:
            near = get_close_matches(name, known, 1)
            meant = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise ValueError(f"no such {kind} {name}; {meant}")


def load_retailer(settings: Settings) -> Retailer:
    """Read the selected retailer.

    Raises:
        RetailerError: the folder or its retailer.yaml is missing or malformed.
    """
    folder = settings.retailers / settings.retailer
    return read_retailer(folder)


def read_retailer(folder: Path) -> Retailer:
    """Read ``folder/retailer.yaml``.

    Raises:
        RetailerError: it is missing or malformed; the message lists every fault.
    """
    file = folder / "retailer.yaml"
    if not file.is_file():
        raise RetailerError(f"{file}: no such file; copy one from retailers/demo and edit it")
    try:
        found = Retailer.model_validate({**read_yaml(file.read_text("utf-8")), "folder": folder})
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors()
        )
        raise RetailerError(f"{file}: {faults}") from None
    except (yaml.YAMLError, TypeError) as error:
        raise RetailerError(f"{file}: not a mapping of settings: {error}") from error
    if found.name != folder.name:
        raise RetailerError(
            f"{file}: name: {found.name} is in a folder {folder.name}, by which it is selected; give "
            "both one name"
        )
    return found


def fill(location: str, settings: Settings, env: Mapping[str, str] | None = None) -> str:
    """A location with its ``${VAR}`` filled in; ``SIYU_HOME`` is always known.

    Raises:
        RetailerError: a variable is not set.
    """
    env = os.environ if env is None else env
    known = {**env, "SIYU_HOME": str(settings.home)}

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if not known.get(name):
            raise RetailerError(f"{location}: set {name} in the environment")
        return known[name]

    return VARIABLE.sub(value, location)
