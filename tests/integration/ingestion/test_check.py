"""`siyu retailer check`: ready to land is said of what lands, and of nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from made_up_shop import MEMBERS, POINTS, Shop, crm_csv, ledger_csv
from typer.testing import CliRunner, Result

from siyu.cli import app
from siyu.ingestion import RetailerCheck, check_retailer

GOOD = "p{},7,10,purchase,2026-06-01 10:00:00"
BAD = "b{},7,10,a whim,2026-06-01 10:00:00"


POINTS_OF_NOBODY = f"{POINTS} WHERE member = 'nobody'"
POINTS_WITH_CODES = POINTS.replace("FROM ledger", "FROM ledger LEFT JOIN codes ON code = reason")


def check(shop: Shop) -> RetailerCheck:
    return check_retailer(shop.settings.retailers / "shop", shop.settings)


def ledger(good: int, bad: int = 0) -> str:
    lines = [*map(GOOD.format, range(good)), *map(BAD.format, range(bad))]
    return ledger_csv(*lines)


def test_a_check_says_what_is_missing_and_mistyped_and_writes_nothing(members_shop: Shop) -> None:
    members_shop.mapping("members", MEMBERS.replace("name,", "name, 'x' AS registered_at,", 1))
    members_shop.mapping("points", "SELECT id AS entry_id, _file, _row FROM crm")
    members_shop.mapping("stores", "SELECT nosuch AS store_id, _file, _row FROM crm")
    members_shop.write("crm/a.csv", crm_csv("1,,,,1990-01-01,,2026-06-01", "2,,,,,,2026-06-01"))
    found = check(members_shop)
    assert not found.ok
    by_entity = {entity.entity: entity for entity in found.entities}
    members = {column.name: column for column in by_entity["members"].columns}
    assert members["member_id"].status == "supplied"
    assert members["tier"].status == "optional missing"
    assert (members["registered_at"].status, members["registered_at"].example) == (
        "mistyped",
        "a.csv:1",
    )
    points = {column.name: column.status for column in by_entity["points"].columns}
    assert points["member_id"] == "required missing"
    assert "nosuch" in by_entity["stores"].error
    assert "registered_at: mistyped, expected TIMESTAMP" in found.report()
    assert not members_shop.settings.home.exists()


def test_a_check_of_a_sound_retailer_is_ok(members_shop: Shop) -> None:
    members_shop.write("crm/a.csv", crm_csv("1,13926471580,,Li,1990-01-01,,2026-06-01"))
    found = check(members_shop)
    assert found.ok, found.report()
    assert found.inputs[0].used == ("id", "phone", "email", "name", "birth", "address", "updated")
    assert "13926471580" not in found.report()


def test_a_check_names_inputs_without_files(points_shop: Shop) -> None:
    found = check(points_shop)
    assert not found.ok
    assert "no file at" in found.inputs[0].error


def test_rows_up_to_the_share_that_may_be_quarantined_are_no_reason_not_to_land(
    points_shop: Shop,
) -> None:
    points_shop.write("ledger/a.csv", ledger(good=99, bad=1))
    found = check(points_shop)
    assert found.ok, found.report()
    assert "reason: enum 1 rows, first at a.csv:100" in found.report()


def test_more_rows_than_may_be_quarantined_are_not_ready_to_land(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger(good=98, bad=2))
    found = check(points_shop)
    assert not found.ok
    assert "2 of 100 sampled rows would be quarantined (2.00%), and at most 1.00% may be" in (
        found.report()
    )
    points_shop.entity("points", max_quarantined_share=0.02)
    assert check(points_shop).ok


def test_records_that_cannot_be_read_count_among_those(points_shop: Shop) -> None:
    points_shop.input("ledger", format="jsonl", location="ledger/*", columns={"id": "VARCHAR"})
    points_shop.mapping("points", "SELECT id AS entry_id FROM ledger")
    points_shop.mapping("stores", "SELECT id AS store_id FROM ledger")
    points_shop.write("ledger/a.jsonl", "no JSON\nnor this\n")
    found = check(points_shop)
    (stores,) = (entity for entity in found.entities if entity.entity == "stores")
    assert not stores.ok
    assert "2 of 2 sampled rows would be quarantined (100.00%)" in stores.error


def test_a_mapping_that_yields_no_row_is_not_ready_to_land(points_shop: Shop) -> None:
    points_shop.mapping("points", POINTS_OF_NOBODY)
    points_shop.write("ledger/a.csv", ledger(good=3))
    found = check(points_shop)
    assert not found.ok
    assert "yields no row of the records sampled from ledger" in found.report()


def test_an_input_that_is_empty_by_itself_is_no_fault_of_the_mapping(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger(good=0))
    assert check(points_shop).ok


def test_a_lookup_that_cannot_be_read_stops_whatever_reads_it(points_shop: Shop) -> None:
    columns = {"code": "VARCHAR"}
    points_shop.input("codes", format="jsonl", location="codes", columns=columns, lookup=True)
    points_shop.mapping("points", POINTS_WITH_CODES)
    points_shop.write("ledger/a.csv", ledger(good=3))
    points_shop.write("codes", "no JSON\n")
    found = check(points_shop)
    assert not found.ok
    assert "lookup codes: has records that cannot be read" in found.report()


def test_a_folder_without_a_mapping_is_not_ready_to_land(shop: Shop) -> None:
    shop.input("ledger", format="csv", location="ledger/*.csv")
    shop.write("ledger/a.csv", ledger(good=3))
    found = check(shop)
    assert not found.ok
    assert "no mapping: write one <entity>.sql" in found.report()


def test_entities_without_a_mapping_are_listed(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger(good=3))
    (line,) = (line for line in check(points_shop).report().split("\n") if "entities not" in line)
    assert " members, " in line
    assert "points" not in line


def test_a_mapping_over_several_inputs_is_told_to_say_where_its_rows_are_from(
    points_shop: Shop,
) -> None:
    selected = points_shop.retailer.mappings["points"].read_text("utf-8").replace("_file, _row", "")
    selected = re.sub(r",\s+FROM", " FROM", selected)
    points_shop.mapping("points", f"{selected} UNION ALL {selected}")
    points_shop.write("ledger/a.csv", ledger(good=3))
    assert "name them in each SELECT of any other" in check(points_shop).report()


# --- the command -------------------------------------------------------------------------------


@pytest.fixture
def command(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Result]:
    """The command, while another retailer is selected."""
    monkeypatch.setenv("SIYU_HOME", str(shop.settings.home))
    monkeypatch.setenv("SIYU_RETAILER", "another")
    folder = str(shop.settings.retailers / "shop")
    return lambda: CliRunner().invoke(app, ["retailer", "check", folder])


def test_the_command_says_ready_of_what_lands(
    points_shop: Shop, command: Callable[[], Result]
) -> None:
    points_shop.write("ledger/a.csv", ledger(good=3))
    said = command()
    assert said.exit_code == 0, said.output
    assert "shop: ready to land" in said.output
    assert not points_shop.settings.home.exists()


def test_the_command_fails_on_what_does_not_land(
    points_shop: Shop, command: Callable[[], Result]
) -> None:
    points_shop.write("ledger/a.csv", ledger(good=0, bad=3))
    said = command()
    assert said.exit_code == 1
    assert "shop: not ready: see ERROR above" in said.output


def test_the_command_names_what_is_wrong_with_the_folder(
    shop: Shop, command: Callable[[], Result]
) -> None:
    said = command()
    assert said.exit_code == 2
    assert "no such file; copy one from retailers/demo" in " ".join(said.output.split())


def test_manual_identity_rules_are_counted_or_refused(members_shop: Shop) -> None:
    shop = members_shop
    file = shop.settings.retailers / "shop" / "identity_rules.csv"
    header = "action,identifier_a,identifier_b,decided_by,decided_at,reason\n"
    phones = [f"phone:{digit * 32}" for digit in "01"]
    file.write_text(f"{header}unlink,{phones[0]},{phones[1]},li,2026-03-01,two sisters\n", "utf-8")
    sound = check(shop)
    assert "manual identity rules: 1" in sound.report()

    file.write_text(f"{header}unlink,{phones[0]},{phones[0]},li,2026-03-01,two sisters\n", "utf-8")
    found = check(shop)

    assert not found.ok
    assert "ERROR" in found.report()
    assert "identity_rules.csv: row 2, identifier_b" in found.report()
