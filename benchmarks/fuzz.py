"""How much of what can go wrong with a file is dealt with: landed in full, or refused by name.

``python -m benchmarks fuzz`` lands 1,000 spoilt files; ``python -m benchmarks.fuzz 100 7`` lands 100
with seed 7. Files of the simulated retailer, and of the public ones where SIYU_DATA is set, are
spoilt one at a time (``_mutations``) and landed each in a home of its own, beside whole files of the
other inputs of its entity. A right outcome is one of two. Either the input lands: every record read
is accounted for, as many as the file is known to hold, lake and quarantine hold as many rows as the
manifest says, and each row in quarantine names its file and the rules that it broke. Or it is
refused by an error that names the file and says what to do, and the other inputs land. Either way no
message holds a direct identifier. Processes apart land the files, so that a crash or a hang costs
one file.

``python -m benchmarks.fuzz keep FOLDER 100`` judges nothing: it lands 100 spoilt files of the simulated
retailer one after another in one home, and leaves it for a look with ``siyu quarantine list``.
"""

from __future__ import annotations

import json
import logging
import os
import re
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow.parquet as pq
import yaml

from benchmarks._mutations import MUTATIONS, Mutant, Whole
from benchmarks._report import at_least, measured, report
from siyu.config import REPO, Settings
from siyu.ingestion import LandingError, LandingReport, land_entity, open_quarantine
from siyu.lake import Lake, Manifest
from siyu.paths import Paths
from siyu.retailer import load_retailer, read_retailer
from siyu.simulator import simulate

FILES = 1_000
SEED = 20_260_601
RECORDS = 120
# A file that takes longer than this is taken to hang; on an idle machine none takes two seconds.
PATIENCE_SECONDS = 120
NOW = datetime(2026, 7, 1, 4, tzinfo=UTC)

_SIMULATED = (
    ("members", "crm_members"), ("points", "crm_points"), ("stores", "erp_stores"),
    ("consents", "crm_consents"), ("orders", "mall_trades"), ("orders", "pos_orders"),
    ("interactions", "mini_events"), ("staff", "wecom_staff"),
)  # fmt: skip
_REAL = (
    ("uci_online_retail", "order_lines", "online_retail"),
    ("complete_journey", "products", ""), ("complete_journey", "members", ""),
)  # fmt: skip
# Columns of the simulated members with direct identifiers.
_PRIVATE = ("mobile", "email", "name", "birthday", "address")
_PHONE = re.compile(rb"1[3-9]\d{9}")


@dataclass(frozen=True)
class Seed:
    """A whole file and where it lands.

    Attributes:
        retailer: Folder of the retailer that it is a file of.
        entity: What it becomes.
        source: Its input.
    """

    retailer: Path
    entity: str
    source: str


@dataclass
class Outcome:
    """What became of one spoilt file.

    Attributes:
        case: Number of the file; with the seed it says everything.
        said: Input and spoiling.
        real: Whether it is a file of a public data set.
        outcome: ``landed`` or ``refused``; empty when neither.
        rules: Rows by the rule that quarantined them.
        faults: What is wrong with the outcome; empty when it is right.
    """

    case: int
    said: str
    real: bool = False
    outcome: str = ""
    rules: Mapping[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


class Corpus:
    """Whole files, small enough to land hundreds of times."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def make(folder: Path) -> Corpus:
        """Write the simulated retailer's files to a folder."""
        simulate(folder / "demo" / "sources", "tiny")
        return Corpus(folder)

    @cached_property
    def seeds(self) -> list[Seed]:
        """Every whole file that can be spoilt."""
        found = [Seed(REPO / "retailers" / "demo", *each) for each in _SIMULATED]
        if os.environ.get("SIYU_DATA"):
            for name, entity, source in _REAL:
                retailer = read_retailer(REPO / "retailers" / name)
                sql = retailer.mappings[entity].read_text("utf-8")
                read = source or next(one for one in retailer.inputs if f" {one}" in sql)
                found.append(Seed(retailer.folder, entity, read))
        return found

    def whole(self, seed: Seed, source: str) -> Whole:
        """The first records of an input."""
        form, file = self._file(seed, source)
        if form == "parquet":
            table = pq.read_table(file).slice(0, RECORDS)
            with tempfile.TemporaryFile() as out:
                pq.write_table(table, out)
                out.seek(0)
                return Whole(out.read(), table.num_rows)
        if form == "json":
            return Whole(file.read_bytes(), 1)
        lines = file.read_bytes().splitlines(keepends=True)
        first = 1 if form == "csv" else 0
        kept = lines[: RECORDS + first]
        return Whole(b"".join(kept), len(kept) - first)

    def _file(self, seed: Seed, source: str) -> tuple[str, Path]:
        said = read_retailer(seed.retailer).inputs[source]
        known = {"SIYU_HOME": str(self._folder), "SIYU_DATA": os.environ.get("SIYU_DATA", "")}
        place = re.sub(r"\$\{(\w+)\}", lambda name: known[name.group(1)], said.location)
        root = Path(place).anchor
        return said.format, min(Path(root).glob(str(Path(place).relative_to(root))))

    @cached_property
    def private(self) -> frozenset[str]:
        """Direct identifiers in the simulated files, which no message may hold."""
        seed = next(one for one in self.seeds if one.source == "crm_members")
        members = self._file(seed, "crm_members")[1]
        with duckdb.connect() as connection:
            columns = ", ".join(_PRIVATE)
            rows = connection.execute(
                f"SELECT {columns} FROM read_csv($file, all_varchar = true)", {"file": str(members)}
            ).fetchall()
        phones = {
            found.decode()
            for one in self.seeds
            if one.retailer == seed.retailer
            for found in _PHONE.findall(self.whole(one, one.source).data)
        }
        return frozenset({value for row in rows for value in row if value} | phones)


def land_case(corpus: Corpus, home: Path, seed: int, case: int) -> Outcome:
    """Spoil a file, land it, and judge what came of it.

    Args:
        corpus: Whole files.
        home: Empty folder for the landing.
        seed: Seed of all draws.
        case: Which draw.
    """
    random = Random(f"{seed} {case}")
    chosen = corpus.seeds[case % len(corpus.seeds)]
    settings, inputs = _retailer(home, chosen.retailer, [chosen.entity])
    for source in inputs:
        if source != chosen.source:
            _deliver_whole(corpus, home, chosen, source)
    spoiling, mutant, file = _deliver_spoilt(corpus, home, random, chosen, case)
    name = file.name
    outcome = Outcome(case, f"{chosen.source}: {spoiling}", real=chosen.retailer.name != "demo")
    heard: list[str] = []
    listening = _Listening(heard)
    logging.getLogger().addHandler(listening)
    retailer = load_retailer(settings)
    try:
        reports: Sequence[LandingReport] = land_entity(
            settings, retailer, chosen.entity, "fuzz", NOW
        )
        errors: Mapping[str, Exception] = {}
    except LandingError as error:
        reports, errors = error.reports, error.errors
    except Exception as error:
        outcome.faults.append(f"stopped by {type(error).__name__}")
        heard.append(str(error))
        reports, errors = (), {}
    finally:
        logging.getLogger().removeHandler(listening)
    landed = {one.source: one for one in reports}
    for source in inputs:
        if source != chosen.source and (source not in landed or landed[source].manifest is None):
            outcome.faults.append(f"{source}, which is whole, did not land")
    if chosen.source in errors:
        outcome.outcome = "refused"
        said = str(errors[chosen.source])
        if name not in said:
            outcome.faults.append(f"does not name the file: {said}")
        if not re.search(r"[;:] .*\w", said):
            outcome.faults.append(f"does not say what to do: {said}")
    elif chosen.source in landed and (manifest := landed[chosen.source].manifest) is not None:
        outcome.outcome = "landed"
        outcome.faults += _unaccounted(settings, manifest, name, mutant.records)
        outcome.rules = _rules(settings, manifest)
    elif not outcome.faults:
        outcome.faults.append("neither landed nor refused")
    heard += [*map(str, errors.values()), *(w for one in reports for w in one.warnings)]
    heard += [str(value) for value in _shown_values(settings)]
    leaked = sum(any(private in text for private in corpus.private) for text in heard)
    if leaked:
        outcome.faults.append(f"{leaked} messages hold a direct identifier")
    return outcome


class _Listening(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, heard: list[str]) -> None:
        super().__init__()
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self._heard.append(record.getMessage())


def _deliver_whole(corpus: Corpus, home: Path, seed: Seed, source: str) -> None:
    """Put a whole file of an input where it is landed from."""
    form = read_retailer(seed.retailer).inputs[source].format
    file = home / "source" / source / f"whole.{form}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(corpus.whole(seed, source).data)


def _deliver_spoilt(
    corpus: Corpus, home: Path, random: Random, seed: Seed, case: int
) -> tuple[str, Mutant, Path]:
    """Put a spoilt file where it is landed from; with what was done to it."""
    form = read_retailer(seed.retailer).inputs[seed.source].format
    spoiling = random.choice(sorted(MUTATIONS[form]))
    mutant = MUTATIONS[form][spoiling](random, corpus.whole(seed, seed.source))
    file = home / "source" / seed.source / f"case_{case}.{form}{mutant.suffix}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(mutant.data)
    return spoiling, mutant, file


def _retailer(
    home: Path, retailer: Path, entities: Sequence[str]
) -> tuple[Settings, dict[str, Any]]:
    """A retailer with some of another's entities, whose files lie under ``home``."""
    said = yaml.safe_load((retailer / "retailer.yaml").read_text("utf-8"))
    mappings = {entity: (retailer / f"{entity}.sql").read_text("utf-8") for entity in entities}
    inputs = {
        name: {**settings, "location": f"{home}/source/{name}/*"}
        for name, settings in said["inputs"].items()
        if any(re.search(rf"\b{name}\b", sql) for sql in mappings.values())
    }
    folder = home / "retailers" / "shop"
    folder.mkdir(parents=True)
    settings = {"entities": said.get("entities", {}), "models": {}, "inputs": inputs}
    (folder / "retailer.yaml").write_text(
        yaml.safe_dump({**said, **settings, "name": "shop"}, allow_unicode=True), "utf-8"
    )
    for entity, sql in mappings.items():
        (folder / f"{entity}.sql").write_text(sql, "utf-8")
    return Settings(home / "home", "shop", home / "retailers", "duckdb", None), inputs


def _unaccounted(
    settings: Settings, manifest: Manifest, name: str, records: int | None
) -> Iterator[str]:
    """What does not add up between a file, its manifest, the lake and the quarantine."""
    out = manifest.accepted + manifest.duplicates + manifest.quarantined + manifest.suppressed
    if manifest.rows_in != out:
        yield f"{manifest.rows_in} rows in, {out} out"
    if records is not None and manifest.rows_read != records:
        yield f"{manifest.rows_read} records read of {records}"
    query = Lake(Paths.of(settings)).query(manifest.entity)
    with duckdb.connect() as connection:
        row = connection.execute(
            f"SELECT count(*) FROM ({query}) WHERE _batch_id = $batch", {"batch": manifest.batch_id}
        ).fetchone()
    if row is None or row[0] != manifest.accepted:
        yield f"{manifest.accepted} rows accepted, {row and row[0]} in the lake"
    kept = open_quarantine(settings, manifest.batch_id) if manifest.quarantined else []
    if len(kept) != manifest.quarantined:
        yield f"{manifest.quarantined} rows quarantined, {len(kept)} in the quarantine"
    if strange := {row["file"] for row in kept} - {name}:
        yield f"rows of {name} in the quarantine are said to be of {', '.join(sorted(strange))}"
    if silent := sum(not any(broken["rule"] for broken in row["rules"]) for row in kept):
        yield f"{silent} rows in the quarantine name no rule"


def _rules(settings: Settings, manifest: Manifest) -> dict[str, int]:
    if not manifest.quarantined:
        return {}
    rows = open_quarantine(settings, manifest.batch_id)
    return dict(Counter(broken["rule"] for row in rows for broken in row["rules"]))


def _shown_values(settings: Settings) -> Iterator[str]:
    """Values that the quarantine shows unsealed."""
    lake = Lake(Paths.of(settings))
    for batch in lake.batches().column("batch_id").to_pylist():
        for row in open_quarantine(settings, batch):
            yield from (str(broken["value"]) for broken in row["rules"])


def run(files: int, seed: int) -> list[Outcome]:
    """Spoil and land files, in processes of their own.

    Returns:
        One outcome per file; a process that died or hung at a file is that file's fault.
    """
    with tempfile.TemporaryDirectory(prefix="siyu-fuzz-") as folder:
        Corpus.make(Path(folder))
        outcomes: list[Outcome] = []
        while len(outcomes) < files:
            outcomes += _run_process(Path(folder), seed, len(outcomes), files)
    return outcomes


def _run_process(folder: Path, seed: int, first: int, files: int) -> Iterator[Outcome]:
    """Land files until all are done, or until the process breaks."""
    command = [sys.executable, "-m", "benchmarks.fuzz", "land", str(folder), str(seed), str(first)]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [*command, str(files)], cwd=REPO, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        done = first
        for line in _lines(process):
            yield Outcome(**json.loads(line))
            done += 1
        if done == files:
            return
        hung = process.poll() is None
        process.kill()
        errors.seek(0)
        last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
        what = f"hung for {PATIENCE_SECONDS} s" if hung else f"process died: {last}"
        yield Outcome(done, "", faults=[what])


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """Lines of a process, until it ends or is silent for too long."""
    if process.stdout is None:
        return
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.select(PATIENCE_SECONDS):
            line = process.stdout.readline()
            if not line:
                process.wait()
                return
            yield line


def _land(folder: Path, seed: int, first: int, files: int) -> None:
    corpus = Corpus(folder)
    for case in range(first, files):
        with tempfile.TemporaryDirectory(dir=folder) as home:
            outcome = land_case(corpus, Path(home), seed, case)
        print(json.dumps(asdict(outcome)), flush=True)


def keep(folder: Path, files: int, seed: int = SEED) -> Settings:
    """Land spoilt files of the simulated retailer one after another, in one home that stays.

    A file that is refused is said and taken away, as a person would, so that its input lands again.

    Args:
        folder: For the home, the files and the retailer's settings; empty.
        files: How many.
        seed: Seed of all draws.

    Returns:
        The settings of the home.
    """
    corpus = Corpus.make(folder / "whole")
    seeds = [Seed(REPO / "retailers" / "demo", *each) for each in _SIMULATED]
    entities = sorted({one.entity for one in seeds})
    settings, inputs = _retailer(folder, seeds[0].retailer, entities)
    for source in inputs:
        _deliver_whole(corpus, folder, seeds[0], source)
    retailer = load_retailer(settings)
    for entity in entities:
        land_entity(settings, retailer, entity, "fuzz", NOW)
    for case in range(files):
        chosen = seeds[case % len(seeds)]
        random = Random(f"{seed} {case}")
        spoiling, _, file = _deliver_spoilt(corpus, folder, random, chosen, case)
        try:
            land_entity(settings, retailer, chosen.entity, "fuzz", NOW + timedelta(hours=case + 1))
        except LandingError as error:
            file.unlink()
            print(f"refused ({spoiling}): {error}", file=sys.stderr)
    return settings


def main(files: int = FILES, seed: int = SEED) -> bool:
    """Land spoilt files and count right outcomes.

    Returns:
        Whether every outcome was right.
    """
    started = time.perf_counter()
    with measured() as cost:
        outcomes = run(files, seed)
    wrong = [outcome for outcome in outcomes if outcome.faults]
    for outcome in wrong:
        print(f"case {outcome.case}, {outcome.said}: {'; '.join(outcome.faults)}", file=sys.stderr)
    rules: Counter[str] = Counter()
    for outcome in outcomes:
        rules.update(outcome.rules)
    details: dict[str, Any] = {f"quarantined_{rule}": rows for rule, rows in sorted(rules.items())}
    return report(
        name="fuzz",
        value=1 - len(wrong) / len(outcomes),
        unit="share of spoilt files with a right outcome",
        goal=at_least(1.0),
        compared_with="every file, landed in full or refused by name",
        files=len(outcomes),
        real_files=sum(outcome.real for outcome in outcomes),
        seed=seed,
        landed=sum(outcome.outcome == "landed" for outcome in outcomes),
        refused=sum(outcome.outcome == "refused" for outcome in outcomes),
        cpu_seconds=cost.cpu_seconds,
        wall_seconds=time.perf_counter() - started,
        **details,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["land"]:
        _land(Path(sys.argv[2]), *map(int, sys.argv[3:6]))
    elif sys.argv[1:2] == ["keep"]:
        kept = keep(Path(sys.argv[2]).resolve(), *map(int, sys.argv[3:5]))
        shown = (
            f"SIYU_HOME={kept.home} SIYU_RETAILERS={kept.retailers} SIYU_RETAILER={kept.retailer}"
        )
        print(f"{shown} siyu quarantine list")
    else:
        sys.exit(0 if main(*map(int, sys.argv[1:3])) else 1)
