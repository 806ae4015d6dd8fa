"""Upkeep makes few files of many, and nobody who reads the lake can tell."""

import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from filelock import FileLock
from made_up_shop import Shop

from siyu.identity import IdentityStore, Resolution
from siyu.identity.quality import NOTHING
from siyu.identity.resolution import EVENT_SCHEMA, MAP_SCHEMA, REFUSED_SCHEMA
from siyu.ingestion import open_quarantine, retract_batch
from siyu.ingestion.drift import open_aside
from siyu.lake import Lake, Manifest, commit
from siyu.maintenance import FEW, compact, is_crowded, maintain, vacuum
from siyu.ops import GateResult, Ledger, Outcome
from siyu.warehouse import Warehouse, WarehouseBusy

# More than a hundred, so that Delta sums up a part of its log.
COMMITS = 120
ROWS = 40
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
AT_ONCE = timedelta(0)
# What a compaction holds while it works, so that a kill finds it at work.
COMPACTING = (
    "import sys; from pathlib import Path; from siyu.maintenance import compact;"
    "compact(Path(sys.argv[1])); sys.stdin.read()"
)


def batch(number: int, rows: int = ROWS) -> pa.Table:
    landed = (FIRST + timedelta(days=number)).replace(tzinfo=None)
    return pa.table(
        {
            "entry_id": [f"{number}-{row}" for row in range(rows)],
            "change": np.random.default_rng(number).random(rows),
            "_source": ["till"] * rows,
            "_batch_id": [f"batch {number}"] * rows,
            "_loaded_at": pa.array([landed] * rows, pa.timestamp("us")),
        }
    )


def manifest(number: int, rows: int = ROWS) -> Manifest:
    return Manifest(
        batch_id=f"batch {number}", entity="points", source="till", rows_in=rows, accepted=rows,
        loaded_at=FIRST + timedelta(days=number),
    )  # fmt: skip


def rows(folder: Path, where: str = "true") -> list[tuple[object, ...]]:
    files = DeltaTable(str(folder)).file_uris()
    with duckdb.connect() as connection:
        return connection.execute(
            f"FROM read_parquet($files, union_by_name = true) WHERE {where} ORDER BY ALL",
            {"files": files},
        ).fetchall()


def on_disk(folder: Path) -> set[str]:
    return {file.name for file in folder.rglob("*.parquet") if "_delta_log" not in file.parts}


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of many tiny commits, made once."""
    folder = tmp_path_factory.mktemp("committed") / "points"
    for number in range(COMMITS):
        commit(folder, batch(number).to_reader(), manifest(number))
    return folder


@pytest.fixture
def crumbs(shop: Shop, committed: Path) -> Path:
    """A table of many tiny commits."""
    # Delta knows its files by their places below the table.
    return shutil.copytree(committed, shop.lake.folder("points"))


@pytest.fixture
def landings(monkeypatch: pytest.MonkeyPatch) -> int:
    """How many landings it takes to crowd a table; few, as each is a second."""
    monkeypatch.setattr("siyu.maintenance.FEW", 2)
    return 3


@pytest.fixture
def landed(points_shop: Shop, landings: int) -> Shop:
    """A shop whose ledger of points has landed a little every day."""
    shop = points_shop
    for number in range(landings):
        shop.write(
            f"ledger/{number:02}.csv",
            f"id,member,change,reason,happened\n{number},1,{number + 1},purchase,2026-06-01 10:00:00\n",
        )
        shop.landed("points")
    return shop


# --- compaction --------------------------------------------------------------------------------


def test_many_small_files_become_few_with_the_same_rows(crumbs: Path) -> None:
    before = rows(crumbs)
    compact(crumbs)
    assert len(DeltaTable(str(crumbs)).file_uris()) == 1
    assert rows(crumbs) == before


def test_the_log_still_tells_every_landing_and_no_other(shop: Shop, crumbs: Path) -> None:
    before = shop.lake.ledger("points").manifests
    compact(crumbs)
    assert Lake(shop.paths).ledger("points").manifests == before
    assert [one.batch_id for one in before] == [f"batch {number}" for number in range(COMMITS)]


def test_a_compaction_is_no_change_of_data_to_whoever_follows_the_log(crumbs: Path) -> None:
    version = compact(crumbs)
    log = crumbs / "_delta_log" / f"{version:020}.json"
    with duckdb.connect() as connection:
        changes = connection.execute(
            'SELECT DISTINCT coalesce("add"."dataChange", "remove"."dataChange") FROM '
            f'read_json(\'{log}\', union_by_name = true) WHERE "add" IS NOT NULL OR "remove" IS NOT NULL'
        ).fetchall()
    assert changes == [(False,)]


def test_a_batch_is_still_found_by_its_id(crumbs: Path) -> None:
    chosen = "_batch_id IN ('batch 3', 'batch 110')"
    before = rows(crumbs, chosen)
    compact(crumbs)
    assert rows(crumbs, chosen) == before
    assert len(before) == 2 * ROWS


def test_rows_stay_in_order_of_landing_so_that_row_groups_can_be_passed_over(shop: Shop) -> None:
    folder, each = shop.lake.folder("points"), 5_000
    for number in range(FEW + 1):
        commit(folder, batch(number, each).to_reader(), manifest(number, each))
    compact(folder)
    (file,) = DeltaTable(str(folder)).file_uris()
    with duckdb.connect() as connection:
        spans = connection.execute(
            "SELECT stats_max::TIMESTAMP - stats_min::TIMESTAMP FROM parquet_metadata(?) "
            "WHERE path_in_schema = '_loaded_at'",
            [file],
        ).fetchall()
    assert len(spans) > 2
    assert max(span for (span,) in spans) < timedelta(days=FEW / 2)


def test_a_table_of_few_files_is_left_alone(shop: Shop) -> None:
    folder = shop.lake.folder("points")
    for number in range(FEW):
        commit(folder, batch(number).to_reader(), manifest(number))
    version = DeltaTable(str(folder)).version()
    assert compact(folder) == version


def test_a_lake_is_crowded_until_it_is_compacted(shop: Shop, crumbs: Path) -> None:
    assert is_crowded(shop.paths)
    maintain(shop.paths)
    assert not is_crowded(shop.paths)


def test_a_second_compaction_does_nothing(crumbs: Path) -> None:
    version = compact(crumbs)
    assert compact(crumbs) == version


def test_only_the_crowded_partition_is_rewritten(shop: Shop) -> None:
    folder = shop.lake.folder("points")
    other = batch(0).set_column(2, "_source", pa.array(["other"] * ROWS))
    commit(folder, other.to_reader(), manifest(0))
    (kept,) = DeltaTable(str(folder)).file_uris()
    for number in range(FEW + 1):
        commit(folder, batch(number).to_reader(), manifest(number))
    compact(folder)
    files = DeltaTable(str(folder)).file_uris()
    assert len(files) == 2
    assert kept in files


def test_a_killed_compaction_leaves_the_table_as_it_was(shop: Shop) -> None:
    folder, each = shop.lake.folder("points"), 10_000
    for number in range(FEW + 1):
        commit(folder, batch(number, each).to_reader(), manifest(number, each))
    before, there = rows(folder), set((folder / "_source=till").iterdir())
    with subprocess.Popen(
        [sys.executable, "-c", COMPACTING, str(folder)], stdin=subprocess.PIPE
    ) as child:
        while set((folder / "_source=till").iterdir()) == there:
            assert child.poll() is None
        child.kill()
    assert child.returncode == -signal.SIGKILL
    assert rows(folder) == before
    compact(folder)
    assert rows(folder) == before
    assert len(DeltaTable(str(folder)).file_uris()) == 1
    # Whatever the kill left of a file that no commit names goes too.
    vacuum(folder, AT_ONCE)
    assert len(list((folder / "_source=till").iterdir())) == 1


# --- with landing ------------------------------------------------------------------------------


def test_a_landing_after_upkeep_finds_everything_landed(landed: Shop, landings: int) -> None:
    before, batches = landed.rows("points"), landed.lake.batches()
    (done,) = maintain(landed.paths)
    assert (done.table, done.files_before, done.files_after) == ("lake.points", landings, 1)
    assert [report.outcome for report in landed.land("points")] == ["unchanged"]
    assert landed.rows("points") == before
    assert landed.lake.batches() == batches


def test_a_landing_after_upkeep_adds_what_is_new_and_drops_what_repeats(
    landed: Shop, landings: int
) -> None:
    maintain(landed.paths)
    landed.write(
        "ledger/new.csv",
        "id,member,change,reason,happened\n0,1,1,purchase,2026-06-01 10:00:00\n"
        "new,1,5,purchase,2026-06-02 10:00:00\n",
    )
    added = landed.landed("points")
    assert (added.accepted, added.duplicates) == (1, 1)
    assert len(landed.rows("points")) == landings + 1


def test_what_is_sealed_can_still_be_opened(members_shop: Shop, landings: int) -> None:
    shop = members_shop
    shop.entity("members", max_quarantined_share=1)
    batches = []
    for number in range(landings + 1):
        # After the first landing there is a column that nobody has declared.
        new, size = (",shoes", ",38") if number else ("", "")
        shop.write(
            f"crm/{number:02}.csv",
            f"id,phone,email,name,birth,address,updated{new}\n"
            f"a{number},13912345678,a@b.cn,王芳,1990-05-01,上海,2026-06-01 10:00:00{size}\n"
            f"b{number},13912345678,a@b.cn,王芳,not a day,上海,2026-06-01 10:00:00{size}\n",
        )
        batches.append(shop.landed("members").batch_id)
    rejected = [open_quarantine(shop.settings, one) for one in batches]
    aside = [open_aside(shop.paths, one) for one in batches]
    done = {upkeep.table: upkeep.files_after for upkeep in maintain(shop.paths)}
    assert (done["quarantine"], done["aside"]) == (1, 1)
    assert [open_quarantine(shop.settings, one) for one in batches] == rejected
    assert [open_aside(shop.paths, one) for one in batches] == aside
    assert all((*rejected, *aside[1:]))


# --- what the gates said -----------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["passed", "failed"])
def test_what_a_gate_said_of_the_rows_stands(shop: Shop, crumbs: Path, outcome: Outcome) -> None:
    ledger, version = Ledger(shop.paths.ops), str(shop.lake.version("points"))
    ledger.begin_write("lake.points", "run", ["gx"], version=version)
    ledger.end_write("lake.points", version, COMMITS * ROWS)
    said = GateResult("gx", "rule", "ERROR", outcome, "said")
    ledger.record("lake.points", version, "gx", [said], "run")
    maintain(shop.paths)
    maintain(shop.paths, keep=AT_ONCE)
    assert str(shop.lake.version("points")) == version != str(DeltaTable(str(crumbs)).version())
    assert bool(ledger.blocks(["lake.points"])) == (outcome == "failed")


def test_nothing_looks_newly_landed(shop: Shop, crumbs: Path) -> None:
    state = shop.lake.state()
    maintain(shop.paths)
    maintain(shop.paths, keep=AT_ONCE)
    assert shop.lake.state() == state
    commit(crumbs, batch(COMMITS).to_reader(), manifest(COMMITS))
    assert shop.lake.state() != state


# --- dead files --------------------------------------------------------------------------------


def test_files_that_a_query_may_still_read_stay(crumbs: Path) -> None:
    query = ", ".join(f"'{file}'" for file in DeltaTable(str(crumbs)).file_uris())
    compact(crumbs)
    assert vacuum(crumbs) == 0
    assert duckdb.execute(f"SELECT count(*) FROM read_parquet([{query}])").fetchone() == (
        COMMITS * ROWS,
    )


def test_dead_files_go_in_the_end_and_no_row_with_them(shop: Shop, crumbs: Path) -> None:
    before = rows(crumbs)
    maintain(shop.paths)
    (done,) = maintain(shop.paths, keep=AT_ONCE)
    assert done.removed == COMMITS
    assert len(on_disk(crumbs)) == 1
    assert maintain(shop.paths, keep=AT_ONCE) == []
    assert rows(crumbs) == before
    assert len(Lake(shop.paths).ledger("points").manifests) == COMMITS


def test_files_that_the_warehouse_shows_stay_until_it_is_refreshed(
    shop: Shop, crumbs: Path
) -> None:
    warehouse = Warehouse(shop.paths)
    with warehouse.connect(read_only=False) as connection:
        shop.lake.register(connection)
    maintain(shop.paths)
    assert maintain(shop.paths, keep=AT_ONCE) == []
    (shown,) = warehouse.read("SELECT count(*) AS n FROM lake.points")["n"].to_pylist()
    assert shown == COMMITS * ROWS
    with warehouse.connect(read_only=False) as connection:
        shop.lake.register(connection)
    (done,) = maintain(shop.paths, keep=AT_ONCE)
    assert done.removed == COMMITS


# --- litter ------------------------------------------------------------------------------------


def test_what_a_landing_sealed_that_never_came_about_is_swept_and_nothing_else(
    points_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    header, bad = "id,member,change,reason,happened", "p1,7,many,purchase,2026-06-01"
    points_shop.write("ledger/a.csv", f"{header}\n{bad}\n")
    points_shop.landed("points")
    retracted = points_shop.lake.manifests("points")[0].batch_id
    points_shop.write("ledger/b.csv", f"{header},shoes\n{bad.replace('p1', 'p2')},38\n")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("siyu.ingestion.landing._Landing._commit", dies)
        points_shop.land("points")
    held = [points_shop.paths.quarantine, points_shop.paths.aside]
    assert [len(rows(folder)) for folder in held] == [2, 1]
    points_shop.write("ledger/c.csv", f"{header},shoes\n{bad.replace('p1', 'p3')},39\n")
    landed = points_shop.landed("points").batch_id
    retract_batch(points_shop.settings, retracted, FIRST)
    assert [len(rows(folder)) for folder in held] == [4, 3]

    done = {upkeep.table: upkeep.swept for upkeep in maintain(points_shop.paths)}

    assert (done["quarantine"], done["aside"]) == (1, 1)
    kept = [DeltaTable(str(folder)).to_pyarrow_table()["batch_id"].to_pylist() for folder in held]
    assert [sorted(set(ids)) for ids in kept] == [sorted([retracted, landed]), [landed]]
    assert not any(upkeep.swept for upkeep in maintain(points_shop.paths))


def test_rejected_rows_of_an_entity_without_a_table_stay(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", "id,member,change,reason,happened\np1,7,many,x,2026-06-01\n")
    points_shop.landed("points")
    shutil.rmtree(points_shop.lake.folder("points"))
    assert maintain(points_shop.paths) == []
    assert len(rows(points_shop.paths.quarantine)) == 1


# --- identity ----------------------------------------------------------------------------------


def decision(customer: str) -> Resolution:
    known = FIRST.replace(tzinfo=None)
    person = ("crm:1", "crm", customer, customer, False, known, "run")
    event = (
        f"event {customer}", "create", customer, None, "crm:1", None, "clustering", known, "run",
    )  # fmt: skip
    return Resolution(
        pa.Table.from_pylist([dict(zip(MAP_SCHEMA.names, person, strict=True))], MAP_SCHEMA),
        pa.Table.from_pylist([dict(zip(EVENT_SCHEMA.names, event, strict=True))], EVENT_SCHEMA),
        REFUSED_SCHEMA.empty_table(), lambda: NOTHING,
    )  # fmt: skip


@pytest.fixture
def store(shop: Shop) -> IdentityStore:
    store = IdentityStore(shop.paths)
    for number in range(FEW + 1):
        store.write(decision(f"c_{number}"))
    return store


def test_the_identity_map_and_its_events_stay_the_same(shop: Shop, store: IdentityStore) -> None:
    folder = shop.paths.identity / "identity_event"
    people, events = store.previous(), rows(folder)
    maintain(shop.paths, keep=AT_ONCE)
    maintain(shop.paths, keep=AT_ONCE)
    assert store.previous() == people
    assert rows(folder) == events
    assert len(on_disk(folder)) == len(on_disk(shop.paths.identity / "customer_identifier")) == 1
    store.write(decision("c_next"))
    assert len(rows(folder)) == len(events) + 1


def test_events_of_an_unfinished_decision_are_still_known_after_upkeep(
    shop: Shop, store: IdentityStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies_before_the_map(place: Path, data: pa.Table, **kwargs: Any) -> None:
        if place.name == "customer_identifier":
            raise KeyboardInterrupt
        write_deltalake(place, data, **kwargs)

    folder = shop.paths.identity / "identity_event"
    events = rows(folder)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("siyu.identity.store.write_deltalake", dies_before_the_map)
        store.write(decision("c_lost"))
    assert len(rows(folder)) == len(events) + 1
    maintain(shop.paths, keep=AT_ONCE)
    store.write(decision("c_next"))
    kept = {row[EVENT_SCHEMA.names.index("customer_id")] for row in rows(folder)}
    assert kept == {f"c_{number}" for number in range(FEW + 1)} | {"c_next"}


# --- beside a run ------------------------------------------------------------------------------


def test_upkeep_does_not_wait_for_a_run_that_writes(shop: Shop, crumbs: Path) -> None:
    version = DeltaTable(str(crumbs)).version()
    # Another lock object on the same file is what another process would have.
    with FileLock(shop.paths.lock), pytest.raises(WarehouseBusy):
        maintain(shop.paths)
    assert DeltaTable(str(crumbs)).version() == version
