"""Rows without a version: what was delivered last holds, also where it held once before."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from made_up_shop import MEMBERS, MEMBERS_CSV, NOW, Shop, crm_csv, make_shop, outcomes

from siyu.config import REPO
from siyu.ingestion import LandingReport, landing, retract_batch

STORES = "SELECT id AS store_id, name, _file, _row FROM shops"
DAY = timedelta(days=1)
A, B = "id,name\ns1,ten\n", "id,name\ns1,twelve\n"


def stores_shop(folder: Path) -> Shop:
    shop = make_shop(folder)
    shop.input("shops", format="csv", location="*.csv")
    shop.mapping("stores", STORES)
    return shop


@pytest.fixture
def stores(tmp_path: Path) -> Shop:
    return stores_shop(tmp_path)


def land(shop: Shop, day: int) -> LandingReport:
    (report,) = shop.land("stores", NOW + day * DAY)
    return report


def latest(shop: Shop, name: str = "name") -> list[str]:
    """What staging takes of each store, by its own order of versions."""
    macros = (REPO / "dbt_project" / "macros" / "lake" / "versions.sql").read_text("utf-8")
    (newest_first,) = re.findall(r"^ *(_known_at desc, .*)$", macros, re.MULTILINE)
    rows = shop.query(
        f"SELECT {name} FROM lake.stores QUALIFY row_number() OVER (PARTITION BY store_id "
        f"ORDER BY {newest_first}) = 1 ORDER BY store_id"
    )
    return [row[0] for row in rows]


@pytest.mark.parametrize("third", [A, f"{A}s2,one\n"])
def test_a_value_that_goes_back_in_a_later_file_holds(stores: Shop, third: str) -> None:
    for day, text in enumerate((A, B, third)):
        stores.write(f"{day}.csv", text)
        land(stores, day)
        assert latest(stores)[0] == ("ten", "twelve", "ten")[day]


def test_files_landed_together_hold_as_those_landed_one_by_one(tmp_path: Path) -> None:
    shops = [stores_shop(tmp_path / name) for name in ("together", "apart")]
    for day, text in enumerate((A, B, A, f"{A}s2,one\n", B, B, A)):
        for shop in shops:
            shop.write(f"{day}.csv", text)
        land(shops[1], day)
    land(shops[0], 7)
    said = [shop.rows("stores", "store_id, name, _file, _row") for shop in shops]
    assert said[0] == said[1]
    assert [latest(shop) for shop in shops] == [["ten", "one"]] * 2


def test_the_last_record_of_a_file_holds_and_repeats_of_it_are_counted(stores: Shop) -> None:
    stores.write("a.csv", "id,name\ns1,ten\ns1,ten\ns1,twelve\ns1,ten\ns1,ten\ns2,one\n")
    manifest = stores.landed("stores")
    assert outcomes(manifest) == {"rows_in": 6, "accepted": 4, "duplicates": 2}
    assert stores.rows("stores", "_row, name") == [
        (1, "ten"), (3, "twelve"), (4, "ten"), (6, "one"),
    ]  # fmt: skip
    assert latest(stores) == ["ten", "one"]


def test_an_overwritten_file_that_goes_back_lands_as_a_batch_of_its_own(stores: Shop) -> None:
    batches = []
    for day, text in enumerate((A, B, A, B)):
        stores.write("shops.csv", text)
        manifest = land(stores, day).manifest
        assert manifest is not None
        batches.append(manifest.batch_id)
        assert land(stores, day).outcome == "unchanged"
        assert latest(stores) == [("ten", "twelve")[day % 2]]
    assert len(set(batches)) == 4
    assert len(stores.rows("stores")) == 4


def test_a_file_that_goes_back_is_the_same_batch_when_its_landing_was_killed(
    stores: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    class Killed(BaseException):
        """Stands for the kernel."""

    def dies(self: landing._Landing, *_: object) -> None:
        tried.append(self._batch_id)
        raise Killed

    for day, text in enumerate((A, B)):
        stores.write("shops.csv", text)
        land(stores, day)
    stores.write("shops.csv", A)
    with monkeypatch.context() as patched:
        patched.setattr(landing._Landing, "_commit", dies)
        with pytest.raises(Killed):
            land(stores, 2)
    manifest = land(stores, 3).manifest
    assert [manifest and manifest.batch_id] == tried


def test_a_mapping_that_changes_leaves_what_holds(stores: Shop) -> None:
    for day, text in enumerate((A, B, A)):
        stores.write("shops.csv", text)
        last = land(stores, day).manifest
    assert last is not None
    stores.mapping("stores", STORES.replace("name,", "name, 'Hangzhou' AS city,"))
    again = land(stores, 3).manifest
    assert again is not None
    # The file stands for its last delivery; of the earlier ones nothing is left to be read.
    assert again.replaces == (last.batch_id,)
    assert [file.known_at for file in again.files] == [NOW + 2 * DAY]
    assert latest(stores, "city") == ["Hangzhou"]
    stores.mapping("stores", STORES)
    assert land(stores, 4).outcome == "landed"
    assert latest(stores) == ["ten"]
    assert len(stores.rows("stores")) == 3


def test_a_renamed_file_is_not_taken_for_a_new_delivery_and_a_person_is_told(
    stores: Shop,
) -> None:
    old = stores.write("0.csv", A)
    land(stores, 0)
    stores.write("1.csv", B)
    land(stores, 1)
    old.rename(old.with_name("2.csv"))
    report = land(stores, 2)
    assert report.outcome == "unchanged"
    assert "2.csv: not read" in report.warnings[0]
    assert "put the one of the earlier name back" in report.warnings[0]
    stores.write("0.csv", A)
    land(stores, 3)
    assert latest(stores) == ["ten"]


def test_a_copy_that_said_nothing_new_stays_old_when_something_new_came(stores: Shop) -> None:
    stores.write("0.csv", A)
    stores.write("1.csv", A)
    report = land(stores, 0)
    assert report.warnings == ("1.csv: not read, as the same bytes have landed already",)
    stores.write("2.csv", A)
    assert land(stores, 1).outcome == "unchanged"
    stores.write("3.csv", B)
    land(stores, 2)
    assert land(stores, 3).outcome == "unchanged"
    assert latest(stores) == ["twelve"]
    stores.mapping("stores", STORES.replace("name,", "upper(name) AS name,"))
    land(stores, 4)
    assert latest(stores) == ["TWELVE"]
    assert land(stores, 5).outcome == "unchanged"


def test_a_value_that_went_back_survives_the_retraction_of_what_was_between(stores: Shop) -> None:
    for day, text in enumerate((A, B, A)):
        stores.write("shops.csv", text)
        land(stores, day)
    between = stores.lake.manifests("stores")[1]
    retract_batch(stores.settings, between.batch_id, NOW + 3 * DAY)
    assert land(stores, 3).outcome == "unchanged"
    assert latest(stores) == ["ten"]


def test_rows_without_a_version_go_back_beside_rows_that_have_one(shop: Shop) -> None:
    shop.input("crm", **MEMBERS_CSV)
    shop.mapping("members", MEMBERS)
    versioned = "1,,,,1990-01-01,,2026-06-01"
    for day, year in enumerate((1990, 1991, 1990)):
        text = crm_csv(
            versioned.replace("1990", str(year)), versioned.replace("1,", "2,", 1)
            .replace("1990", str(year)).replace("2026-06-01", ""), f"{day},,,,,,2026-06-02",
        )  # fmt: skip
        shop.write(f"crm/{day}.csv", text)
        manifest = shop.landed("members", NOW + day * DAY)
    # Of the one that says when it changed, the third is the first once more.
    assert outcomes(manifest) == {"rows_in": 3, "accepted": 2, "duplicates": 1}
