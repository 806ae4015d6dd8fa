"""Batches: killed and run again, retracted and restored; and the log that remembers all of it."""

from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from filelock import FileLock
from made_up_shop import MEMBERS, NOW, POINTS, Shop, crm_csv, ledger_csv, make_shop, outcomes

from siyu.ingestion import BatchError, landing, restore_batch, retract_batch, retraction
from siyu.lake import Lake
from siyu.warehouse import WarehouseBusy

GOOD = "p1,7,30,purchase,2026-06-01"
BAD = "p2,7,30,gift,2026-06-01"


class Killed(BaseException):
    """Stands for the kernel: nothing in the product may catch it."""


def content(shop: Shop, entity: str) -> tuple[object, ...]:
    """What a rerun must reproduce: all but the moment of loading."""
    rows = shop.rows(entity, "* EXCLUDE (_loaded_at)")
    return rows, shop.broken(), [manifest.batch_id for manifest in shop.lake.manifests(entity)]


@pytest.mark.parametrize("step", ["_store_values", "_quarantine", "_commit"])
def test_a_landing_killed_at_any_step_and_run_again_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    shops = [make_shop(tmp_path / name) for name in ("undisturbed", "killed")]
    for shop in shops:
        shop.input("ledger", format="csv", location="ledger/*.csv")
        shop.mapping("points", POINTS)
        shop.write("ledger/a.csv", ledger_csv(GOOD, BAD))
    undisturbed, killed = shops
    undisturbed.landed("points")
    original = getattr(landing._Landing, step)

    def dies(*arguments: object) -> None:
        if step != "_commit":
            original(*arguments)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(landing._Landing, step, dies)
        with pytest.raises(Killed):
            killed.land("points")
    assert killed.lake.manifests("points") == []
    killed.landed("points", NOW + timedelta(minutes=5))
    assert content(killed, "points") == content(undisturbed, "points")


def test_rows_left_in_quarantine_by_a_killed_landing_are_not_counted(
    points_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise Killed

    points_shop.write("ledger/a.csv", ledger_csv(BAD))
    with monkeypatch.context() as patched:
        patched.setattr(landing._Landing, "_commit", dies)
        with pytest.raises(Killed):
            points_shop.land("points")
    assert points_shop.broken() == []


def test_what_was_in_the_future_at_a_killed_try_leaves_no_trace(
    points_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise Killed

    points_shop.write("ledger/a.csv", ledger_csv(GOOD.replace("06-01", "07-01")))
    with monkeypatch.context() as patched:
        patched.setattr(landing._Landing, "_commit", dies)
        with pytest.raises(Killed):
            points_shop.land("points")
    manifest = points_shop.landed("points", NOW + timedelta(days=2))
    assert outcomes(manifest) == {"rows_in": 1, "accepted": 1}
    assert points_shop.broken() == []


def test_a_retracted_batch_is_gone_and_stays_out_until_restored(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger_csv(GOOD, BAD))
    batch = points_shop.landed("points").batch_id
    retract_batch(points_shop.settings, batch, NOW)
    assert points_shop.rows("points") == []
    assert points_shop.broken() == []
    (report,) = points_shop.land("points")
    assert report.outcome == "unchanged"
    assert "a.csv stays out" in report.warnings[0]
    restore_batch(points_shop.settings, batch, NOW)
    assert points_shop.query("SELECT batch_id FROM lake.batch") == []
    assert points_shop.landed("points").batch_id == batch
    assert len(points_shop.rows("points")) == 1
    # Under its old id it is another batch for whoever took in the first.
    assert points_shop.query("SELECT batch_id FROM lake.batch WHERE rewritten > 0") == [(batch,)]


def test_a_retracted_file_lands_when_it_changed(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger_csv(GOOD))
    retract_batch(points_shop.settings, points_shop.landed("points").batch_id, NOW)
    points_shop.write("ledger/a.csv", ledger_csv(GOOD.replace("30", "31")))
    points_shop.landed("points")
    assert points_shop.rows("points", "change") == [(31,)]


def test_a_retracted_file_stays_out_under_a_changed_mapping(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger_csv(GOOD))
    retract_batch(points_shop.settings, points_shop.landed("points").batch_id, NOW)
    points_shop.mapping("points", POINTS.replace("reason,", "'adjust' AS reason,"))
    assert points_shop.land("points")[0].outcome == "unchanged"


def test_a_retraction_loses_no_row_that_another_file_brings(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger_csv(GOOD, "p8,7,1,adjust,2026-06-01"))
    first = points_shop.landed("points")
    points_shop.write("ledger/b.csv", ledger_csv(GOOD, "p9,7,1,adjust,2026-06-01"))
    second = points_shop.landed("points", NOW + timedelta(hours=1))
    assert outcomes(second) == {"rows_in": 2, "accepted": 1, "duplicates": 1}
    assert retract_batch(points_shop.settings, first.batch_id, NOW).replaces == (second.batch_id,)
    points_shop.landed("points", NOW + timedelta(hours=2))
    assert points_shop.rows("points", "entry_id, _file") == [("p1", "b.csv"), ("p9", "b.csv")]


def spared(shop: Shop) -> tuple[str, str, Path]:
    """Two batches, of which the second dropped a row of the first, and its file."""
    shop.write("ledger/a.csv", ledger_csv(GOOD))
    first = shop.landed("points").batch_id
    file = shop.write("ledger/b.csv", ledger_csv(GOOD, "p9,7,1,adjust,2026-06-01"))
    return first, shop.landed("points", NOW + timedelta(hours=1)).batch_id, file


def test_a_retraction_that_would_lose_rows_is_refused(points_shop: Shop) -> None:
    first, second, file = spared(points_shop)
    file.unlink()
    with pytest.raises(BatchError, match=rf"{second} \(1 rows dropped; gone: b\.csv\).* --force"):
        retract_batch(points_shop.settings, first, NOW)
    assert len(points_shop.rows("points")) == 2
    assert retract_batch(points_shop.settings, first, NOW, force=True).replaces == ()
    assert points_shop.rows("points", "entry_id") == [("p9",)]


def test_a_retraction_of_an_input_that_is_gone_is_refused_too(points_shop: Shop) -> None:
    first, second, _ = spared(points_shop)
    points_shop.said["inputs"] = {}
    points_shop.input("other", format="csv", location="other.csv")
    with pytest.raises(BatchError, match=second):
        retract_batch(points_shop.settings, first, NOW)


def test_retracting_a_batch_without_rows_is_remembered_too(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger_csv(BAD))
    retract_batch(points_shop.settings, points_shop.landed("points").batch_id, NOW)
    assert points_shop.lake.manifests("points") == []


def test_nothing_is_retracted_or_restored_while_a_run_writes(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger_csv(GOOD))
    batch = points_shop.landed("points").batch_id
    with FileLock(points_shop.paths.lock):
        with pytest.raises(WarehouseBusy):
            retract_batch(points_shop.settings, batch, NOW)
        with pytest.raises(WarehouseBusy):
            restore_batch(points_shop.settings, batch, NOW)
    assert len(points_shop.rows("points")) == 1


def test_a_retraction_that_cannot_be_committed_says_so(
    points_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise DeltaError("a concurrent commit came before")

    points_shop.write("ledger/a.csv", ledger_csv(GOOD))
    batch = points_shop.landed("points").batch_id
    monkeypatch.setattr(retraction, "commit", fails)
    with pytest.raises(BatchError, match="nothing was committed: a concurrent commit"):
        retract_batch(points_shop.settings, batch, NOW)


def test_an_unknown_batch_is_refused(points_shop: Shop) -> None:
    with pytest.raises(BatchError, match="no batch nonsense is in force"):
        retract_batch(points_shop.settings, "nonsense", NOW)
    with pytest.raises(BatchError, match="no batch nonsense is retracted"):
        restore_batch(points_shop.settings, "nonsense", NOW)


def test_the_log_keeps_every_manifest_through_checkpoints(points_shop: Shop) -> None:
    points_shop.write("ledger/0.csv", ledger_csv(GOOD))
    points_shop.landed("points")
    table = points_shop.lake.table("points")
    assert table is not None
    configuration = table.metadata().configuration
    assert configuration["delta.enableExpiredLogCleanup"] == "false"
    for number in range(1, 4):
        points_shop.write(f"ledger/{number}.csv", ledger_csv(GOOD.replace("p1", f"q{number}")))
        points_shop.landed("points")
        DeltaTable(table.table_uri).create_checkpoint()
    fresh = DeltaTable(table.table_uri)
    fresh.cleanup_metadata()
    fresh.optimize.compact()
    assert len(Lake(points_shop.paths).manifests("points")) == 4
    assert points_shop.land("points")[0].outcome == "unchanged"
    assert len(points_shop.rows("points")) == 4


def test_a_retraction_works_after_compaction(points_shop: Shop) -> None:
    for name, line in (("a", GOOD), ("b", GOOD.replace("p1", "p2"))):
        points_shop.write(f"ledger/{name}.csv", ledger_csv(line))
        batch = points_shop.landed("points").batch_id
    table = points_shop.lake.table("points")
    assert table is not None
    table.optimize.compact()
    retract_batch(points_shop.settings, batch, NOW)
    assert points_shop.rows("points", "entry_id") == [("p1",)]


def test_views_sources_name_the_active_files_in_the_views_order(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger_csv(GOOD))
    points_shop.landed("points")
    sources = points_shop.lake.view_sources(points_shop.retailer)
    assert sources["points"].files == points_shop.lake.files("points")
    assert list(sources["points"].columns) == [
        row[0] for row in points_shop.query("SELECT column_name FROM (DESCRIBE lake.points)")
    ]
    assert sources["orders"].files == []
    assert "customer_id" in sources["customer_identifier"].columns


def test_the_batch_table_shows_what_is_in_force(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger_csv(GOOD, BAD))
    manifest = points_shop.landed("points")
    assert points_shop.query(
        "SELECT batch_id, entity, source, file_count, rows_in, accepted, quarantined, backfill "
        "FROM lake.batch"
    ) == [(manifest.batch_id, "points", "ledger", 1, 2, 1, 1, True)]


def test_a_replaced_batch_does_not_count_twice(members_shop: Shop) -> None:
    members_shop.write("crm/a.csv", crm_csv("null,,,,,,2026-06-01"))
    members_shop.landed("members")
    members_shop.mapping("members", MEMBERS.replace("email,", "NULL AS email,"))
    members_shop.landed("members")
    assert members_shop.broken() == [("members", "not_null", "member_id", 1)]
