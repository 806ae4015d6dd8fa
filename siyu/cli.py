"""The ``siyu`` command: what is not an asset. Jobs are Dagster's (``python -m orchestration``).

What belongs here: arguments, and calling the parts together. What does not: doing the work.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from siyu import servers
from siyu.config import REPO, Settings, SettingsError
from siyu.paths import Paths
from siyu.retailer import Retailer, RetailerError, load_retailer

if TYPE_CHECKING:
    from siyu.privacy.requests import Receipt, Request
    from siyu.privacy.subject import Subject
    from siyu.simulator import Size

app = typer.Typer(
    help="siyu: a customer-data warehouse for retailers who talk to their own customers directly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
retailer_app = typer.Typer(help="A retailer's folder.", no_args_is_help=True)
batch_app = typer.Typer(help="Batches in the lake.", no_args_is_help=True)
quarantine_app = typer.Typer(help="Rows that broke a rule, and why.", no_args_is_help=True)
vault_app = typer.Typer(help="Direct identifiers, encrypted.", no_args_is_help=True)
audit_app = typer.Typer(
    help="The log of consents, identity rules, erasures, exports and publications.",
    no_args_is_help=True,
)
app.add_typer(retailer_app, name="retailer")
app.add_typer(batch_app, name="batch")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(vault_app, name="vault")
app.add_typer(audit_app, name="audit")

_out = Console()
_err = Console(stderr=True)


def _settings() -> Settings:
    try:
        return Settings.from_env()
    except SettingsError as error:
        raise _stop(str(error)) from None


def _selected() -> tuple[Settings, Retailer]:
    """The settings, and the retailer that they select."""
    settings = _settings()
    try:
        return settings, load_retailer(settings)
    except RetailerError as error:
        raise _stop(str(error)) from None


def _stop(message: str) -> typer.Exit:
    _err.print(message, markup=False)
    return typer.Exit(2)


@app.command()
def demo(
    size: Annotated[str, typer.Option(help="tiny, demo, or a number of members")] = "demo",
    seed: Annotated[int, typer.Option(help="the same seed gives the same files")] = 7,
) -> None:
    """Simulate a retailer, run everything on it, print what came out."""
    settings = _settings()
    sources = settings.home / "demo" / "sources"
    os.environ["SIYU_RETAILER"] = "demo"
    if sources.exists():
        _plain(
            f"Source files are there already: {sources}. --size and --seed change nothing; to begin "
            f"anew, remove {sources.parent}"
        )
    else:
        _plain(f"Simulating a retailer's source systems into {sources}")
        _simulate(sources, size, seed)
    _say_which_keys(Paths(settings.home, "demo"))
    if _job("refresh") != 0:
        raise typer.Exit(1)
    summary()


def _say_which_keys(paths: Paths) -> None:
    """Make the keys that nobody gave, and say so: a retailer keeps its own."""
    from siyu.vault import VaultError, load_keys

    try:
        load_keys(paths)
    except VaultError as error:
        raise _stop(str(error)) from None
    made = [file.name for file in sorted(paths.keys.glob("*.key"))]
    if made:
        _plain(
            f"The demo's own keys to its vault are in {paths.keys} (0600): {', '.join(made)}. A retailer "
            "keeps keys apart from the data and sets SIYU_TOKEN_KEY and SIYU_WRAPPING_KEY."
        )


def _simulate(folder: Path, size: str, seed: int) -> None:
    from siyu.simulator import SimulationError
    from siyu.simulator import simulate as run

    try:
        run(folder, _size(size), seed, on_progress=_tell)
    except SimulationError as error:
        raise _stop(str(error)) from None


def _size(said: str) -> Size:
    if said.isdigit():
        return int(said)
    if said not in ("tiny", "demo"):
        raise _stop(f"size is {said!r}: use tiny, demo, or a number of members")
    return "tiny" if said == "tiny" else "demo"


def _tell(line: str) -> None:
    _out.print(f"  {line}", highlight=False, markup=False)


def _job(name: str) -> int:
    command = [sys.executable, "-m", "orchestration", name]
    return subprocess.run(command, cwd=REPO, check=False).returncode


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="where to write the source files")],
    size: Annotated[str, typer.Option(help="tiny, demo, or a number of members")] = "demo",
    seed: Annotated[int, typer.Option(help="the same seed gives the same files")] = 7,
) -> None:
    """Write a made-up retailer's source files, and the truth about them."""
    _simulate(folder, size, seed)


@app.command()
def summary() -> None:
    """What landed, who the customers are, how the models do, what is published."""
    from siyu.summary import print_summary

    print_summary(*_selected(), _out)


@app.command()
def status() -> None:
    """What ran last, what is published as of when, what is blocked and what to do."""
    from siyu.serving import status as read
    from siyu.summary import status_page

    settings, _ = _selected()
    _out.print(status_page(read(Paths.of(settings))), soft_wrap=True)


@app.command()
def ui(
    dagster_port: Annotated[int, typer.Option(help="port of the Dagster UI")] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="port of the MLflow UI")] = 5000,
) -> None:
    """Start Dagster and MLflow on localhost; Ctrl-C stops them."""
    settings, _ = _selected()
    mlflow = servers.mlflow_elsewhere(os.environ) or f"http://{servers.HOST}:{mlflow_port}"

    def say() -> None:
        _plain(f"Dagster  http://{servers.HOST}:{dagster_port}\nMLflow   {mlflow}")
        _plain("Ctrl-C stops what runs here.")

    started = servers.ui_servers(settings, dagster_port, mlflow_port, os.environ)
    try:
        servers.run(started, servers.ui_environment(settings, os.environ), say)
    except servers.ServerEnded as error:
        _err.print(str(error), markup=False, soft_wrap=True)
        raise typer.Exit(1) from None


@app.command()
def generate() -> None:
    """Write what follows from the contracts and models: parts of dbt's project, data dictionary."""
    from ml.tables import ml_models
    from siyu import dictionary, transform
    from siyu.serving import ops_models

    made_in_python = [*ml_models(), *ops_models()]
    for file in (*transform.write_generated(), dictionary.write(made_in_python)):
        _plain(f"wrote {file}")


@retailer_app.command("check")
def retailer_check(
    folder: Annotated[Path, typer.Argument(help="folder with retailer.yaml and the mappings")],
) -> None:
    """Say what is missing or mistyped, column by column, before anything runs."""
    from siyu.ingestion import check_retailer

    try:
        found = check_retailer(folder.resolve(), _settings())
    except RetailerError as error:
        raise _stop(str(error)) from None
    _plain(found.report())
    if not found.ok:
        raise typer.Exit(1)


@batch_app.command("list")
def batch_list(entity: Annotated[str, typer.Argument(help="entity, such as orders")]) -> None:
    """The batches of an entity that are in force."""
    from siyu.contracts import ContractError, contract
    from siyu.lake import Lake

    settings, _ = _selected()
    try:
        manifests = Lake(Paths.of(settings)).manifests(contract(entity).entity)
    except ContractError as error:
        raise _stop(str(error)) from None
    if not manifests:
        _plain(f"no batch of {entity} is in force")
    for manifest in manifests:
        _plain(
            f"{manifest.batch_id}  {manifest.source:<24} {manifest.accepted:>10,} accepted  "
            f"{manifest.quarantined:>7,} quarantined  {manifest.loaded_at:%Y-%m-%d %H:%M}"
        )


@batch_app.command("retract")
def batch_retract(
    batch_id: Annotated[str, typer.Argument(help="batch to take out")],
    force: Annotated[
        bool, typer.Option("--force", help="even where rows that later batches dropped are lost")
    ] = False,
) -> None:
    """Take a bad batch out of the lake; then run the refresh job."""
    from siyu.evidence import record_consents
    from siyu.ingestion import BatchError, retract_batch
    from siyu.warehouse import WarehouseBusy

    settings, _ = _selected()
    try:
        done = retract_batch(settings, batch_id, datetime.now(UTC), force=force)
        record_consents(Paths.of(settings))
    except (BatchError, RetailerError, WarehouseBusy) as error:
        raise _stop(str(error)) from None
    for leaning in done.replaces:
        _plain(f"taken out too, to land again as it had dropped repeats: {leaning}")
    _out.print(f"retracted {batch_id}; now run the refresh job", highlight=False)


@batch_app.command("restore")
def batch_restore(batch_id: Annotated[str, typer.Argument(help="batch retracted before")]) -> None:
    """Let the files of a retracted batch land again; then run the refresh job."""
    from siyu.evidence import record_consents
    from siyu.ingestion import BatchError, restore_batch
    from siyu.warehouse import WarehouseBusy

    settings, _ = _selected()
    try:
        restore_batch(settings, batch_id, datetime.now(UTC))
        record_consents(Paths.of(settings))
    except (BatchError, WarehouseBusy) as error:
        raise _stop(str(error)) from None
    _out.print(f"restored {batch_id}; now run the refresh job", highlight=False)


@quarantine_app.command("list")
def quarantine_list() -> None:
    """What is and was in quarantine, by day, input, rule and column."""
    from siyu.quality import quarantine
    from siyu.summary import quarantine_page

    settings, retailer = _selected()
    _out.print(quarantine_page(quarantine(Paths.of(settings), retailer)), crop=False)


@quarantine_app.command("show")
def quarantine_show(
    batch_id: Annotated[str, typer.Argument(metavar="BATCH", help="from siyu batch list")],
) -> None:
    """Which records of a batch were rejected, and the rule and value that did it."""
    from siyu.ingestion.quarantine import rejected_rows

    settings, _ = _selected()
    for row in _rejected(batch_id, rejected_rows(Paths.of(settings), batch_id)):
        for broken in row["rules"]:
            value = "" if broken["value"] is None else f" is {broken['value']!r}"
            said = f"{broken['column'] or 'record'}{value} ({broken['rule']})"
            _plain(f"{row['file']}:{row['row']}  {said}")


@quarantine_app.command("open")
def quarantine_open(
    batch_id: Annotated[str, typer.Argument(metavar="BATCH", help="from siyu batch list")],
) -> None:
    """The rejected records in clear, a JSON object a line: personal data, for whoever may see it."""
    from siyu.ingestion.quarantine import open_quarantine
    from siyu.vault import VaultError

    settings, _ = _selected()
    try:
        found = open_quarantine(settings, batch_id)
    except VaultError as error:
        raise _stop(str(error)) from None
    for row in _rejected(batch_id, found):
        _plain(json.dumps(row, ensure_ascii=False))


def _rejected(batch_id: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not found:
        raise _stop(
            f"nothing of a batch {batch_id} is in quarantine; siyu batch list names batches"
        )
    return found


def _plain(line: str) -> None:
    """Print what comes from data: as it is, whatever it looks like."""
    _out.print(line, highlight=False, markup=False, soft_wrap=True)


@vault_app.command("rotate")
def vault_rotate() -> None:
    """Wrap the vault anew under another wrapping key; values and tokens stay as they are.

    The new key is SIYU_NEW_WRAPPING_KEY, or one that is made here where the key in use is a file.
    """
    from siyu.vault import Vault, VaultError, new_wrapping_key
    from siyu.warehouse import WarehouseBusy, writer_lock

    settings, _ = _selected()
    paths = Paths.of(settings)
    try:
        with writer_lock(paths, timeout=0):
            Vault.of(paths).rotate(new_wrapping_key())
    except (VaultError, WarehouseBusy) as error:
        raise _stop(str(error)) from None
    file = paths.keys / "wrapping.key"
    _plain(
        f"The vault is under the new key, which is in {file}. Back that up, apart from the data."
    )
    if os.environ.get("SIYU_WRAPPING_KEY"):
        _plain("Now set SIYU_WRAPPING_KEY to the new key; once it is kept there, remove the file.")


@audit_app.command("verify")
def audit_verify(
    head: Annotated[
        Path | None, typer.Option(help="what siyu audit head printed before: shows truncation")
    ] = None,
) -> None:
    """Say whether the audit log, and what it speaks of, is whole; else what was done, entry by entry."""
    from siyu.audit import AuditError, AuditLog, Head
    from siyu.evidence import verify_evidence

    paths = Paths.of(_settings())
    log = AuditLog.of(paths)
    try:
        found = log.verify(None if head is None else Head.read(head))
    except AuditError as error:
        raise _stop(str(error)) from None
    # What it speaks of can be held only against a log that is whole.
    found = found or verify_evidence(paths)
    for finding in found:
        _plain(str(finding))
    if found:
        raise typer.Exit(1)
    end = log.head()
    told = "" if head else "; without --head, entries cut off at the end cannot be told"
    _plain(f"{end.sequence} entries, as they were made{told}")


@audit_app.command("head")
def audit_head() -> None:
    """Print where the audit log ends, as JSON: keep it elsewhere, to verify against."""
    from siyu.audit import AuditLog

    _plain(AuditLog.of(Paths.of(_settings())).head().to_json())


@audit_app.command("list")
def audit_list() -> None:
    """Every entry of the audit log, a line each."""
    from siyu.audit import AuditLog

    for entry in AuditLog.of(Paths.of(_settings())).entries():
        _plain(
            f"{entry.sequence:>6}  {entry.recorded_at[:19]}  {entry.kind:<13}  {entry.reference}  "
            f"{entry.hash[:16]}"
        )


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="where backups are kept, one folder each")],
    keys: Annotated[
        Path | None, typer.Option(help="copy the keys here too, on another medium")
    ] = None,
) -> None:
    """Copy what cannot be made again: lake, raw files, vault, identity, ledger, models."""
    from siyu.backup import BackupError, back_up
    from siyu.vault import VaultError
    from siyu.warehouse import WarehouseBusy

    try:
        made = back_up(Paths.of(_settings()), folder.resolve(), keys, datetime.now(UTC))
    except (BackupError, VaultError, WarehouseBusy, OSError) as error:
        raise _stop(str(error)) from None
    said = f"{made.folder}: {made.files} files, {made.bytes:,} bytes"
    _out.print(said, highlight=False, soft_wrap=True)
    if keys is None:
        _out.print("The keys are not in it: keep them apart, or it cannot be opened.")


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(metavar="BACKUP", help="the folder of one backup")],
    keys: Annotated[
        Path | None, typer.Option(help="folder with the keys; otherwise from the environment")
    ] = None,
    tombstones: Annotated[
        Path | None, typer.Option(help="marks of whom was erased since (siyu tombstones)")
    ] = None,
) -> None:
    """Put a backup into an empty SIYU_HOME, without who was erased since; a refresh makes the rest."""
    from siyu.audit import AuditLog
    from siyu.backup import BackupError
    from siyu.backup import restore as put_back
    from siyu.vault import VaultError
    from siyu.warehouse import WarehouseBusy

    settings = _settings()
    try:
        found = put_back(folder.resolve(), Paths.of(settings), keys)
    except (BackupError, VaultError, WarehouseBusy, OSError) as error:
        raise _stop(str(error)) from None
    _out.print(
        f"restored {found.retailer} as of {found.made_at:%Y-%m-%d %H:%M} UTC into "
        f"{settings.home}; now run the refresh job",
        highlight=False,
        soft_wrap=True,
    )
    end = AuditLog.of(Paths.of(settings)).head()
    _plain(
        f"Its audit log ends with entry {end.sequence}. Against a later head, siyu audit verify calls "
        "that truncated: keep the log that was in its place, if there was one, and take a new head."
    )
    if tombstones is not None:
        erase(tombstones=tombstones, by="restore", yes=True)
    else:
        _plain(
            f"Whoever was erased after {found.made_at:%Y-%m-%d %H:%M} UTC is in it: before anything "
            "else, run siyu erase --tombstones with the marks that siyu tombstones wrote."
        )


@app.command()
def erase(
    customer: Annotated[
        list[str] | None, typer.Option(help="customer id; several are erased at once")
    ] = None,
    identifier: Annotated[
        list[str] | None, typer.Option(help="namespace:value or token of whoever is meant")
    ] = None,
    tombstones: Annotated[
        Path | None, typer.Option(help="marks of whom to erase again, after a restore")
    ] = None,
    deadline_days: Annotated[int, typer.Option(min=0, help="days until it must be done")] = 15,
    by: Annotated[str, typer.Option(help="who decided it")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Erase people everywhere; one that was cut short goes on, with or without naming them."""
    from siyu.privacy.erasure import ErasureError
    from siyu.privacy.subject import SubjectError
    from siyu.vault import VaultError
    from siyu.warehouse import WarehouseBusy, writer_lock

    settings, retailer = _selected()
    try:
        with writer_lock(Paths.of(settings), timeout=0):
            going_on = _go_on_erasing(settings, retailer)
            subject = _asked(Paths.of(settings), customer or [], identifier or [], tombstones)
            if subject is not None:
                _erase(settings, retailer, subject, deadline_days, by or getpass.getuser(), yes)
            elif not (going_on or customer or identifier or tombstones):
                raise _stop(
                    "name somebody by --customer or --identifier; nothing is left to go on with"
                )
    except (SubjectError, ErasureError, VaultError, WarehouseBusy, FileNotFoundError) as error:
        raise _stop(str(error)) from None
    _plain("Now refresh, so that sums are made without them. Outside of what siyu reaches:")
    from siyu.privacy.layers import OUTSIDE

    for place in OUTSIDE:
        _plain(f"  {place}")


def _go_on_erasing(settings: Settings, retailer: Retailer) -> bool:
    """Finish what a kill left open; whether there was anything."""
    from siyu.privacy.requests import Requests

    left = [each for each in Requests(Paths.of(settings)).all() if each.status == "open"]
    for request in left:
        _plain(f"going on with {request.request_id}")
        _erase_request(settings, retailer, request)
    return bool(left)


def _asked(
    paths: Paths, customers: list[str], identifiers: list[str], tombstones: Path | None
) -> Subject | None:
    """Whoever is to be erased; None when nobody is named, or all of them were erased before."""
    from siyu.privacy.requests import Requests
    from siyu.privacy.subject import SubjectError, find_erased, find_subject
    from siyu.tombstones import merge

    if tombstones is not None:
        _plain(f"{merge(paths, tombstones.resolve())} new marks of people who were erased")
        return find_erased(paths)
    if not (customers or identifiers):
        return None
    try:
        return find_subject(paths, customers, identifiers)
    except SubjectError:
        before = Requests(paths).of([*customers, *identifiers])
        for request in before:
            _plain(f"erased already: {request.request_id}, done {request.completed_at}")
        if before:
            return None
        raise


def _erase(
    settings: Settings,
    retailer: Retailer,
    subject: Subject,
    deadline_days: int,
    by: str,
    yes: bool,
) -> None:
    from siyu.privacy.requests import Requests

    papers = sum(len(keys) for keys in subject.documents.values())
    _plain(
        f"{len(subject.customers)} customer ids, {len(subject.identifiers)} identifiers of theirs alone, "
        f"{len(subject.shared)} that others have too, {papers} orders, {len(subject.tokens)} values in "
        "the vault"
    )
    if not yes:
        typer.confirm("Erase them? This cannot be undone.", abort=True)
    requests = Requests(Paths.of(settings))
    request = requests.receive(subject, by, deadline_days, datetime.now(UTC))
    _plain(f"{request.request_id}, to be done by {request.deadline:%Y-%m-%d}")
    _erase_request(settings, retailer, request)


def _erase_request(settings: Settings, retailer: Retailer, request: Request) -> None:
    from ml.erasure import flag_models
    from siyu.ingestion import erasure as sealed
    from siyu.privacy.erasure import erase as run
    from siyu.privacy.layers import Elsewhere, layers
    from siyu.serving import replace_publications

    paths = Paths.of(settings)
    elsewhere = Elsewhere(
        raw=partial(sealed.erase_from_raw, paths),
        quarantine=partial(sealed.erase_from_quarantine, paths),
        aside=partial(sealed.erase_from_aside, paths),
        publications=partial(replace_publications, paths),
        models=partial(flag_models, paths),
    )
    run(paths, request, layers(settings, retailer, elsewhere), _print_receipt)


def _print_receipt(receipt: Receipt) -> None:
    counts = ", ".join(f"{what}: {count}" for what, count in receipt.counts.items()) or "nothing"
    _plain(f"  {receipt.layer:<17} {counts}; still found: {receipt.still_found}")


@app.command()
def export(
    customer: Annotated[str | None, typer.Option(help="customer id")] = None,
    identifier: Annotated[
        str | None, typer.Option(help="namespace:value or token of whoever is meant")
    ] = None,
    out: Annotated[Path, typer.Option(help="file to write")] = Path("person.json"),
    schema: Annotated[bool, typer.Option("--schema", help="print the form of the file")] = False,
) -> None:
    """Write everything that is held on one person to a file that only you may read."""
    from siyu.privacy.export import SCHEMA
    from siyu.privacy.subject import SubjectError
    from siyu.vault import VaultError
    from siyu.warehouse import WarehouseBusy, writer_lock

    if schema:
        _plain(json.dumps(SCHEMA, indent=1))
        return
    if (customer is None) == (identifier is None):
        raise _stop("name one person, by --customer or by --identifier")
    settings, _ = _selected()
    try:
        with writer_lock(Paths.of(settings), timeout=0):
            asked = [customer] if customer else [], [identifier] if identifier else []
            written = _export(settings, *asked, out)
    except FileExistsError:
        raise _stop(f"{out}: there is a file of that name; give another by --out") from None
    except (SubjectError, VaultError, WarehouseBusy) as error:
        raise _stop(str(error)) from None
    _plain(f"{out}: {written}. It is personal data in clear: hand it over, then delete it.")


def _export(settings: Settings, customers: list[str], identifiers: list[str], out: Path) -> str:
    """Write what is held on one person, once the audit log knows; says how much it is."""
    from ml.tables import ml_models
    from siyu.audit import AuditLog
    from siyu.dictionary import read_models
    from siyu.ingestion.erasure import rejected_of
    from siyu.privacy.export import Gathering, export_person
    from siyu.privacy.subject import find_subject

    paths, now = Paths.of(settings), datetime.now(UTC)
    subject = find_subject(paths, customers, identifiers)
    gathering = Gathering([*read_models(), *ml_models()], partial(rejected_of, paths))
    said = export_person(settings, subject, gathering, now)
    text = json.dumps(said, ensure_ascii=False, indent=1).encode()
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        AuditLog.of(paths).append(
            "export",
            f"export-{now:%Y%m%dT%H%M%S%f}",
            {"customers": list(subject.customers), "sha256": hashlib.sha256(text).hexdigest()},
            now,
            subjects=subject.names,
        )
        file.write(text)
    tables = {**said["sources"], **said["tables"]}
    rows = sum(len(table["rows"]) for table in tables.values())
    return f"{len(tables)} tables, {rows} rows, {len(said['rejected'])} rejected records"


@app.command()
def erasures() -> None:
    """Requests to be erased, until when they are due, and what was done where."""
    from siyu.privacy.requests import Requests

    for request in Requests(Paths.of(_settings())).all():
        done = f"done {request.completed_at:%Y-%m-%d %H:%M}" if request.completed_at else "open"
        _plain(
            f"{request.request_id}  received {request.received_at:%Y-%m-%d}, due "
            f"{request.deadline:%Y-%m-%d}, decided by {request.decided_by}: {done}"
        )
        for receipt in request.receipts:
            _print_receipt(receipt)


@app.command()
def tombstones(
    file: Annotated[Path, typer.Argument(help="Parquet file to write, to be kept with the keys")],
) -> None:
    """Copy the marks of whom was erased, for a restore of a backup that is older than they are."""
    from siyu.tombstones import copy_out

    _plain(f"{file}: {copy_out(Paths.of(_settings()), file)} marks, which name nobody")


@app.command()
def contactability(
    customer: Annotated[str, typer.Option(help="a customer_id")],
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="at the end of a day; now if not")
    ] = None,
    known: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="by what was known at the end of a day; the same"),
    ] = None,
) -> None:
    """May we contact a customer, and why: now, or on a day, as known on that day or another."""
    from siyu.serving import ContactabilityError
    from siyu.serving import contactability as ask
    from siyu.warehouse import Warehouse, WarehouseBusy, writer_lock

    settings, _ = _selected()
    if known and not as_of:
        raise _stop("--known says by what was known on --as-of: give both")
    days = [day.date() if day else None for day in (as_of, known)]
    try:
        with writer_lock(Paths.of(settings), timeout=0):
            rows = ask(Warehouse.of(settings), customer, *days)
    except (ContactabilityError, WarehouseBusy) as error:
        raise _stop(str(error)) from None
    if not rows:
        _plain("nobody was ever asked about messages: not contactable")
    for row in rows:
        said = (
            ""
            if row["consent_id"] is None
            else (
                f"{row['consent_id']} version {row['version_no']}, {row['identifier']}, "
                f"from {row['effective_at']:%Y-%m-%d %H:%M} UTC"
            )
        )
        until = f" until {row['expires_at']:%Y-%m-%d %H:%M} UTC" if row["expires_at"] else ""
        answer = "yes" if row["is_contactable"] else "no"
        _plain(
            f"{row['purpose']:<10} {row['channel']:<13} {answer:<4} {row['reason']:<20} {said}{until}"
        )


@app.command()
def callbacks(
    connection: Annotated[str, typer.Argument(help="a WeCom connection of retailer.yaml")],
    host: Annotated[str, typer.Option(help="where to listen")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="where to listen")] = 8085,
) -> None:
    """Receive WeCom's callbacks until stopped; a proxy with a certificate goes before it."""
    from siyu.ingestion import InputError
    from siyu.ingestion.connectors.callbacks import serve
    from siyu.vault import VaultError

    settings, retailer = _selected()
    try:
        serve(settings, retailer, connection, host=host, port=port)
    except (RetailerError, InputError, VaultError) as error:
        raise _stop(str(error)) from None
