"""Whoever asks gets everything that is held on them, and nothing of anybody else."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
import pytest
from deltalake import write_deltalake
from made_up_shop import MEMBERS, MEMBERS_CSV, NOW, Shop, make_shop
from pyarrow import Table
from typer.testing import CliRunner

from ml.tables import ml_models
from orchestration.defs.serving.publication import published_tables
from siyu.audit import AuditLog
from siyu.cli import app
from siyu.dictionary import Model, read_models
from siyu.identity.resolution import MAP_SCHEMA
from siyu.ingestion.erasure import rejected_of
from siyu.lake import Lake
from siyu.privacy.export import SCHEMA, Gathering, export_person
from siyu.privacy.subject import find_subject

ANNA, PHONE = "c_anna", "13926471580"


def described() -> list[Model]:
    return [*read_models(), *ml_models()]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Two members, and in every table that dbt or ml makes a row of each where rows are of customers."""
    shop = make_shop(tmp_path_factory.mktemp("export"))
    shop.input("crm", **MEMBERS_CSV)
    shop.mapping("members", MEMBERS)
    shop.entity("members", max_quarantined_share=1)
    shop.write(
        "crm/a.csv",
        "id,phone,email,name,birth,address,updated\n"
        f"M1000001,{PHONE},,欧阳明慧,1987-03-09,,2026-06-01\n"
        "M1000002,13926471581,,李雷,1990-01-02,,2026-06-01\n"
        f"M1000001,{PHONE},,,a day in spring,,2026-06-03\n",
    )
    shop.landed("members")
    people = [
        {"identifier": "crm:M1000001", "namespace": "crm", "customer_id": ANNA, "is_junk": False},
        {"identifier": "crm:M1000002", "namespace": "crm", "customer_id": "c_bo", "is_junk": False},
    ]
    folder = str(shop.paths.identity / "customer_identifier")
    write_deltalake(folder, Table.from_pylist(people, MAP_SCHEMA))
    shop.paths.warehouse.parent.mkdir(parents=True)
    with duckdb.connect(str(shop.paths.warehouse)) as connection:
        Lake(shop.paths).register(connection, shop.retailer)
        for model in described():
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {model.layer}")
            columns = ", ".join(f'"{column.name}" {column.type}' for column in model.columns)
            table = f"{model.layer}.{model.name}"
            connection.execute(f"CREATE TABLE {table} ({columns})")
            if "customer_id" in {column.name for column in model.columns}:
                connection.execute(f"INSERT INTO {table} (customer_id) VALUES ('{ANNA}'), ('c_bo')")
    return shop


@pytest.fixture(scope="module")
def said(shop: Shop) -> dict[str, Any]:
    subject = find_subject(shop.paths, [ANNA])
    gathering = Gathering(described(), partial(rejected_of, shop.paths))
    return export_person(shop.settings, subject, gathering, NOW)


def test_it_has_the_form_that_it_says(said: dict[str, Any]) -> None:
    jsonschema.validate(json.loads(json.dumps(said)), SCHEMA)


def test_records_are_as_they_came_with_their_values_in_clear(said: dict[str, Any]) -> None:
    (member,) = said["sources"]["members"]["rows"]
    assert (member["member_id"], member["phone"], member["name"], member["birth_date"]) == (
        "crm:M1000001", f"+86{PHONE}", "欧阳明慧", "1987-03-09",
    )  # fmt: skip
    assert (
        said["sources"]["members"]["columns"]["phone"]["en"] == "Mobile phone the member authorised"
    )
    assert {f"phone:{name['value']}" for name in said["identifiers"] if name["value"]} == {
        f"phone:+86{PHONE}"
    }


def test_rejected_records_are_in_it(said: dict[str, Any]) -> None:
    (rejected,) = said["rejected"]
    assert rejected["entity"] == "members"
    assert json.loads(rejected["payload"])["birth_date"] == "a day in spring"


def test_every_published_table_that_speaks_of_customers_is_in_it(said: dict[str, Any]) -> None:
    of_customers = {
        f"{model.layer}.{model.name}"
        for model in described()
        if "customer_id" in {column.name for column in model.columns}
    }
    expected = of_customers & set(published_tables())
    assert len(expected) > 10
    assert expected - set(said["tables"]) == set()
    for name in expected:
        table = said["tables"][name]
        assert [row["customer_id"] for row in table["rows"]] == [ANNA], name
        assert table["en"], name
        assert set(table["columns"]) == set(table["rows"][0]), name


def test_nothing_of_anybody_else_is_in_it(said: dict[str, Any]) -> None:
    text = json.dumps(said, ensure_ascii=False)
    assert not [other for other in ("c_bo", "M1000002", "13926471581", "李雷") if other in text]


def test_the_command_writes_a_file_for_its_owner_alone_and_the_log_knows(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIYU_HOME", str(shop.settings.home))
    monkeypatch.setenv("SIYU_RETAILER", "shop")
    monkeypatch.setenv("SIYU_RETAILERS", str(shop.settings.retailers))
    file = tmp_path / "person.json"
    asked = ["export", "--identifier", "crm:M1000001", "--out", str(file)]
    done = CliRunner().invoke(app, asked)
    assert (done.exit_code, "1 rejected records" in done.output) == (0, True), done.output
    assert file.stat().st_mode & 0o077 == 0
    (entry,) = (one for one in AuditLog.of(shop.paths).entries() if one.kind == "export")
    assert ANNA not in entry.reference
    again = CliRunner().invoke(app, [*asked[:-1], str(tmp_path / "again.json")])
    assert again.exit_code == 0
    received = json.loads((tmp_path / "again.json").read_text("utf-8"))["received_by"]
    assert [given["what"] for given in received] == ["all of this"]
    assert CliRunner().invoke(app, asked).exit_code == 2  # it is there already
    assert CliRunner().invoke(app, ["export"]).exit_code == 2
