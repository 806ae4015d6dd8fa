"""Whoever is erased is nowhere afterwards, stays away, and takes nothing of anybody else along."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from made_up_shop import MEMBERS, MEMBERS_CSV, NOW, Shop, make_shop, outcomes
from typer.testing import CliRunner, Result

from siyu.audit import AuditLog
from siyu.backup import back_up
from siyu.cli import app
from siyu.identity.history import PAST_SCHEMA
from siyu.identity.resolution import EVENT_SCHEMA, MAP_SCHEMA, REFUSED_SCHEMA
from siyu.ingestion import erasure, open_quarantine
from siyu.ingestion.drift import open_aside
from siyu.ingestion.erasure import without_named
from siyu.ingestion.raw import RawStore
from siyu.lake import Lake
from siyu.paths import Paths
from siyu.privacy.delta import drop_rows
from siyu.privacy.erasure import ErasureError, Layer, erase, text_matcher
from siyu.privacy.lake import erase_from_lake
from siyu.privacy.layers import Elsewhere, layers
from siyu.privacy.requests import Request, Requests
from siyu.privacy.search import Finder
from siyu.privacy.subject import Subject, SubjectError, find_erased, find_subject
from siyu.serving import replace_publications
from siyu.tombstones import CUSTOMER, IDENTIFIER, bury
from siyu.vault import Vault, VaultError

ANNA, BO, CHEN = "c_anna", "c_bo", "c_chen"
PHONE, FAMILY, EMAIL = "13926471580", "13926471581", "anna@planted-mail.cn"
PERSONAL = {
    "phone": PHONE, "email": EMAIL, "name": "欧阳明慧", "born": "1987-03-09", "address": "杭州市文三路90号",
    "member": "crm:M1000001", "openid": "wx:oAnna00002",
    "order": "A-000001", "customer": ANNA, "former customer": "c_former",
}  # fmt: skip
ORDERS = """
SELECT no AS order_id, ident('crm', member) AS member_id, ident('wx', openid) AS openid, phone,
    ident('wx', sharer) AS sharer_openid, 'store' AS channel, 'completed' AS status,
    10 AS gross_amount, 0 AS discount_amount, 10 AS net_amount, 'CNY' AS currency,
    local_to_utc('2026-06-01') AS ordered_at, _file, _row
FROM till
"""
PAYMENTS = """
SELECT no AS payment_id, order_no AS order_id, 10 AS amount, 'CNY' AS currency,
    'succeeded' AS status, local_to_utc('2026-06-01') AS paid_at, _file, _row
FROM tills
"""
EVENTS = """
SELECT id AS event_id, 'visit' AS event_name, 'mini_program' AS channel, ident('wx', openid) AS openid,
    ident('crm', member) AS member_id, local_to_utc('2026-06-02') AS occurred_at, _file, _row
FROM clicks
"""
MEMBER_ROWS = (
    f"M1000001,{PHONE},{EMAIL},欧阳明慧,1987-03-09,杭州市文三路90号,2026-06-01",
    f"M1000002,{FAMILY},bo@b.cn,欧阳明慧,1990-01-02,上海市,2026-06-01",
    f"M1000003,{FAMILY},chen@c.cn,李雷,1991-01-02,上海市,2026-06-01",
    f"M1000001,{PHONE},,,a day in spring,,2026-06-03",
    "M1000003,,,,a day in May,,2026-06-04",
)
ORDER_ROWS = (
    "A-000001,M1000001,oAnna00001,,",      # hers
    "A-000002,,oAnna00002,13926471580,",   # hers by her phone, with an open id that nobody has yet
    "A-000003,M1000002,,,oAnna00002",      # another's, which she shared
    "A-000004,,,13926471581,",             # by a phone that two have
    "A-000005,M1000003,,,",
)  # fmt: skip


def files(shop: Shop) -> None:
    shop.write("crm/members.csv", "\n".join(
        ("id,phone,email,name,birth,address,updated", *MEMBER_ROWS)) + "\n")  # fmt: skip
    shop.write("till/1.csv", "\n".join(("no,member,openid,phone,sharer", *ORDER_ROWS)) + "\n")
    shop.write("tills/1.csv", "no,order_no\np1,A-000001\np2,A-000002\np3,A-000003\n")
    shop.write(
        "clicks/1.csv", "id,openid,member\ne1,oAnna00001,\ne2,oChen00001,\ne3,oAnna00001,M1000003\n"
    )


def land(shop: Shop, now: datetime = NOW) -> dict[str, Mapping[str, int]]:
    found = {}
    for entity in ("members", "orders", "payments", "interactions"):
        for report in shop.land(entity, now):
            if report.manifest is not None:
                found[entity] = outcomes(report.manifest)
    return found


@dataclass(frozen=True)
class Story:
    """A shop in which somebody was erased, and then the same files landed again.

    Attributes:
        shop: As it is after all of that.
        before: A copy of its home from before.
        subject: Who was erased.
        request: The request, done.
        rows: What the lake held after the erasure.
        leaks: Where she was found then.
        landed_again: What became of the rows of the same files.
        rows_again: What the lake held after that.
        leaks_again: Where she was found then.
    """

    shop: Shop
    before: Path
    subject: Subject
    request: Request
    rows: list[tuple[Any, ...]]
    leaks: list[str]
    landed_again: Mapping[str, Mapping[str, int]]
    rows_again: list[tuple[Any, ...]]
    leaks_again: list[str]


def make(folder: Path) -> Shop:
    """Three customers, two of whom share a phone; one lent her telephone to another."""
    shop = make_shop(folder)
    shop.input("crm", **MEMBERS_CSV)
    for name in ("till", "tills", "clicks"):
        shop.input(name, format="csv", location=f"{name}/*.csv")
    shop.entity("members", max_quarantined_share=1)
    said = {"members": MEMBERS, "orders": ORDERS, "payments": PAYMENTS, "interactions": EVENTS}
    for entity, sql in said.items():
        shop.mapping(entity, sql)
    files(shop)
    land(shop)
    shop.write(
        "clicks/2.csv", "id,openid,member,called\ne4,oAnna00001,,Annchen\ne5,oChen00001,,Lei\n"
    )
    land(shop, NOW + timedelta(days=1))
    DeltaTable(str(Lake(shop.paths).folder("members"))).create_checkpoint()
    write_identity(shop)
    write_warehouse(shop)
    AuditLog.of(shop.paths).append(
        "identity_rule", "rule-1", {"same": ["crm:M1000001", "wx:oAnna00001"]}, NOW,
        subjects=["crm:M1000001", "wx:oAnna00001"],
    )  # fmt: skip
    return shop


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("erasure")
    shop = make(folder)
    shutil.copytree(shop.settings.home, folder / "before", symlinks=True)
    subject = find_subject(shop.paths, [ANNA])
    assert leaks(shop, subject)
    request = erased(shop, subject)
    rows, found = of_others(shop), leaks(shop, subject)
    for entity in ("members", "orders", "payments", "interactions"):
        file = shop.settings.retailers / "shop" / f"{entity}.sql"
        file.write_text(f"-- mended\n{file.read_text()}")
    again = land(shop, NOW + timedelta(days=2))
    return Story(
        shop, folder / "before", subject, request, rows, found, again, of_others(shop),
        leaks(shop, subject),
    )  # fmt: skip


@pytest.fixture
def shop(story: Story, tmp_path: Path) -> Shop:
    """The same shop before anybody was erased, in a home of its own."""
    shutil.copytree(story.before, tmp_path / "home", symlinks=True)
    return replace(story.shop, settings=replace(story.shop.settings, home=tmp_path / "home"))


def token(shop: Shop, phone: str) -> str:
    return shop.vault.tokenise("phone", [phone], "CN")[0].token


def write_identity(shop: Shop) -> None:
    held = {
        "crm:M1000001": ANNA, token(shop, PHONE): ANNA, "wx:oAnna00001": ANNA,
        "crm:M1000002": BO, token(shop, FAMILY): BO, "crm:M1000003": CHEN, "wx:oChen00001": CHEN,
    }  # fmt: skip
    people = [
        {"identifier": name, "namespace": name.split(":")[0], "customer_id": who, "is_junk": False}
        for name, who in held.items()
    ]
    for person in people[:2]:
        # What she was before two of her became one.
        person["own_customer_id"] = "c_own"
    events = [
        {
            "event_id": "1",
            "event_type": "create",
            "customer_id": ANNA,
            "identifier": "crm:M1000001",
        },
        {
            "event_id": "2",
            "event_type": "merge",
            "customer_id": ANNA,
            "other_customer_id": "c_former",
        },
        {"event_id": "3", "event_type": "create", "customer_id": BO, "identifier": "crm:M1000002"},
    ]
    past = [{"identifier": "crm:M1000001", "namespace": "crm", "customer_id": "c_past"}]
    refused = [{"identifier_a": "crm:M1000001", "identifier_b": "wx:oAnna00001", "rule_id": "r"}]
    for name, rows, schema in (
        ("customer_identifier", people, MAP_SCHEMA),
        ("identity_event", events, EVENT_SCHEMA),
        ("customer_identifier_past", past, PAST_SCHEMA),
        ("identity_refused_edge", refused, REFUSED_SCHEMA),
    ):
        write_deltalake(str(shop.paths.identity / name), pa.Table.from_pylist(rows, schema))


def write_warehouse(shop: Shop) -> None:
    """A few tables as dbt makes them, and a publication of them."""
    shop.paths.warehouse.parent.mkdir(parents=True)
    with duckdb.connect(str(shop.paths.warehouse)) as connection:
        Lake(shop.paths).register(connection, shop.retailer)
        connection.execute(f"""
            CREATE SCHEMA staging; CREATE SCHEMA unified; CREATE SCHEMA ops;
            CREATE VIEW staging.stg_orders AS FROM lake.orders;
            CREATE TABLE unified.fct_order AS SELECT order_id, member_id, sharer_openid,
                CASE order_id WHEN 'A-000001' THEN '{ANNA}' WHEN 'A-000002' THEN '{ANNA}'
                WHEN 'A-000005' THEN '{CHEN}' ELSE '{BO}' END AS customer_id FROM lake.orders;
            CREATE TABLE unified.dim_customer (customer_id VARCHAR NOT NULL, referrer_customer_id VARCHAR);
            INSERT INTO unified.dim_customer VALUES ('{ANNA}', '{BO}'), ('{BO}', '{ANNA}'), ('{CHEN}', NULL);
            COMMENT ON TABLE unified.dim_customer IS 'Who | 谁';
            CREATE TABLE ops.integrity_violation (rule VARCHAR, entity_key VARCHAR);
            INSERT INTO ops.integrity_violation VALUES ('r', 'A-000001|1'), ('r', 'A-000005|1');
        """)
        folder = shop.paths.serving / "2026-06-30_run_0000aaaa"
        folder.mkdir(parents=True)
        connection.execute(f"ATTACH '{folder / 'siyu.duckdb'}' AS published")
        connection.execute("CREATE SCHEMA published.unified")
        connection.execute(
            "CREATE TABLE published.unified.dim_customer AS FROM unified.dim_customer"
        )
    (shop.paths.serving / "current").symlink_to(folder.name)
    (shop.paths.root / "dagster").mkdir()
    (shop.paths.root / "dagster" / "run.err").write_text("an order of crm:M1000001\n", "utf-8")


def elsewhere(paths: Paths) -> Elsewhere:
    return Elsewhere(
        raw=partial(erasure.erase_from_raw, paths),
        quarantine=partial(erasure.erase_from_quarantine, paths),
        aside=partial(erasure.erase_from_aside, paths),
        publications=partial(replace_publications, paths),
        models=lambda *_: ["shop_churn/1"],
    )


def layers_of(shop: Shop) -> list[Layer]:
    return layers(shop.settings, shop.retailer, elsewhere(shop.paths))


def erased(shop: Shop, subject: Subject) -> Request:
    request = Requests(shop.paths).receive(subject, "the officer", 15, NOW)
    return erase(shop.paths, request, layers_of(shop))


def leaks(shop: Shop, subject: Subject) -> list[str]:
    values = {**PERSONAL, **{f"name {n}": name for n, name in enumerate(subject.names)}}
    # Bo has the same name, and what stands for it.
    del values["name"]
    found = Finder(values).below(shop.settings.home)
    return sorted({f"{find.label} in {find.file.relative_to(shop.paths.root)}" for find in found})


def of_others(shop: Shop) -> list[tuple[Any, ...]]:
    return [
        *shop.rows("members", "member_id, phone_token, name_token, birth_year"),
        *shop.rows("orders", "order_id, member_id, phone_token, sharer_openid"),
        *shop.rows("payments", "payment_id, order_id"),
        *shop.rows("interactions", "event_id, openid, member_id"),
    ]


def test_a_person_is_whoever_their_rows_say_and_no_more(story: Story, shop: Shop) -> None:
    subject, phone = story.subject, token(shop, PHONE)
    assert subject.customers == (ANNA, "c_former", "c_own", "c_past")
    # Her telephone is Chen's too, who was logged in on it.
    email = shop.vault.tokenise("email", [EMAIL], "CN")[0].token
    assert set(subject.identifiers) == {"crm:M1000001", phone, email, "wx:oAnna00002"}
    assert subject.shared == ("wx:oAnna00001",)
    assert subject.documents == {"orders": ("A-000001", "A-000002")}
    # What names her by nothing of her own.
    assert subject.rows == {"interactions": ("e1", "e4")}
    kinds = sorted(name.split(":")[0] for name in subject.tokens)
    assert kinds == ["address", "birth_date", "email", "phone"]
    assert find_subject(shop.paths, [], [phone]) == subject


def test_nobody_is_found_by_what_stands_on_no_row(shop: Shop) -> None:
    with pytest.raises(SubjectError, match="stand on no row"):
        find_subject(shop.paths, [], ["crm:M9999999"])
    with pytest.raises(SubjectError, match="no customer c_nobody"):
        find_subject(shop.paths, ["c_nobody"])


def test_the_erased_are_nowhere(story: Story) -> None:
    assert story.leaks == []
    assert [story.shop.vault.reveal(value) for value in story.subject.tokens] == [None] * 4


def test_a_request_has_a_receipt_of_every_layer(story: Story) -> None:
    request = story.request
    assert (request.status, request.decided_by) == ("done", "the officer")
    assert request.deadline == NOW + timedelta(days=15)
    assert [receipt.still_found for receipt in request.receipts] == [0] * 12
    said = {receipt.layer: receipt.counts for receipt in request.receipts}
    assert said["lake"]["rows"] == 7
    assert said["lake"]["rows_of_others_that_named_them"] == 1
    assert said["vault"] == {"values": 4}
    assert said["models"] == {"trained_on_them": ["shop_churn/1"]}


def test_others_keep_every_row_and_lose_only_their_mention_of_her(story: Story) -> None:
    shop = story.shop
    family, name, other = (
        shop.vault.tokenise(kind, [value], "CN")[0].token
        for kind, value in (("phone", FAMILY), ("name", "欧阳明慧"), ("name", "李雷"))
    )
    assert story.rows == [
        ("crm:M1000002", family, name, 1990),
        ("crm:M1000003", family, other, 1991),
        ("A-000003", "crm:M1000002", None, None),
        ("A-000004", None, family, None),
        ("A-000005", "crm:M1000003", None, None),
        ("p3", "A-000003"),
        ("e2", "wx:oChen00001", None),
        ("e3", "wx:oAnna00001", "crm:M1000003"),
        ("e5", "wx:oChen00001", None),
    ]
    assert shop.vault.reveal(name) == "欧阳明慧"
    assert shop.vault.reveal(family) == f"+86{FAMILY}"


def test_the_warehouse_is_what_it_was_without_them(story: Story) -> None:
    with duckdb.connect(str(story.shop.paths.warehouse), read_only=True) as connection:
        people = connection.execute("FROM unified.dim_customer").fetchall()
        cases = connection.execute("SELECT entity_key FROM ops.integrity_violation").fetchall()
        comments = connection.execute(
            "SELECT comment FROM duckdb_tables() WHERE comment IS NOT NULL"
        ).fetchall()
    assert people == [(BO, None), (CHEN, None)]
    assert cases == [("▮|1",), ("A-000005|1",)]
    assert comments == [("Who | 谁",)]


def test_one_publication_is_left_and_is_current(story: Story) -> None:
    serving = story.shop.paths.serving
    (published,) = (place for place in serving.iterdir() if not place.is_symlink())
    assert (serving / "current").resolve() == published
    file = published / "parquet" / "unified" / "dim_customer.parquet"
    assert duckdb.read_parquet(str(file)).fetchall() == [(BO, None), (CHEN, None)]


def test_the_same_files_do_not_bring_them_back(story: Story) -> None:
    # One who was rejected before, too.
    assert story.landed_again == {
        "members": {"rows_in": 5, "accepted": 2, "quarantined": 1, "suppressed": 2},
        "orders": {"rows_in": 5, "accepted": 3, "suppressed": 2},
        "payments": {"rows_in": 3, "accepted": 1, "suppressed": 2},
        "interactions": {"rows_in": 5, "accepted": 3, "suppressed": 2},
    }
    assert story.rows_again == story.rows
    assert story.leaks_again == []


def test_rejected_rows_and_values_set_aside_of_others_stay(shop: Shop) -> None:
    subject = find_subject(shop.paths, [ANNA])
    names = text_matcher(shop.paths, subject)
    assert erasure.erase_from_quarantine(shop.paths, names) == 1
    assert erasure.erase_from_aside(shop.paths, names, subject.origins) == 1
    (batch,) = shop.lake.manifests("members")
    kept = open_quarantine(shop.settings, batch.batch_id)
    assert [row["payload"]["member_id"] for row in kept] == ["crm:M1000003"]
    later = shop.lake.manifests("interactions")[-1]
    assert [row["called"] for row in open_aside(shop.paths, later.batch_id)] == ["Lei"]


def test_the_log_of_a_table_keeps_what_landed_and_marks_what_changed(shop: Shop) -> None:
    folder = Lake(shop.paths).folder("members")
    before = shop.lake.ledger("members").manifests
    erase_from_lake(shop.paths, find_subject(shop.paths, [ANNA]))
    assert Finder({"member": "crm:M1000001"}).below(folder) == []
    assert shop.lake.ledger("members").manifests == before
    # Whatever is made from a batch that was changed where it lies starts over.
    assert set(shop.lake.ledger("members").rewritten) == {each.batch_id for each in before}


def test_an_erasure_that_is_killed_in_any_layer_goes_on(shop: Shop) -> None:
    subject = find_subject(shop.paths, [ANNA])
    request = Requests(shop.paths).receive(subject, "the officer", 15, NOW)

    def killed(layer: Layer) -> Layer:
        def erase_and_die(*said: Any) -> Mapping[str, Any]:
            layer.erase(*said)
            raise KeyboardInterrupt

        return replace(layer, erase=erase_and_die)

    for place in range(len(layers_of(shop))):
        found = layers_of(shop)
        found[place] = killed(found[place])
        with pytest.raises(KeyboardInterrupt):
            erase(shop.paths, Requests(shop.paths).get(request.request_id), found)
    done = erase(shop.paths, Requests(shop.paths).get(request.request_id), layers_of(shop))
    assert done.status == "done"
    assert leaks(shop, subject) == []
    assert len(of_others(shop)) == 9


def test_a_layer_that_still_holds_somebody_is_no_success(shop: Shop) -> None:
    request = Requests(shop.paths).receive(find_subject(shop.paths, [ANNA]), "he", 15, NOW)
    idle = [replace(one, erase=lambda *_: {}) for one in layers_of(shop) if one.name == "lake"]
    with pytest.raises(ErasureError, match=r"lake: \d+ names are still found, in ") as caught:
        erase(shop.paths, request, idle)
    assert not [value for value in PERSONAL.values() if value in str(caught.value)]
    (receipt,) = Requests(shop.paths).get(request.request_id).receipts
    assert receipt.still_found > 0


def test_what_is_yet_to_be_erased_is_sealed_and_gone_afterwards(story: Story, shop: Shop) -> None:
    requests, subject = Requests(shop.paths), story.subject
    request = requests.receive(subject, "the officer", 15, NOW)
    ledger = shop.paths.erasures
    assert ledger.stat().st_mode & 0o077 == 0
    assert Finder.of(subject.names).in_file(ledger) == set()
    assert requests.work(request.request_id) == subject
    requests.complete(request.request_id, NOW)
    with pytest.raises(VaultError, match="no key"):
        Vault.of(shop.paths).batch_key(request.request_id)
    assert [known.request_id for known in requests.of([ANNA])] == [request.request_id]
    assert requests.of([BO]) == []


def test_the_audit_log_forgets_them_and_stays_whole(story: Story) -> None:
    log = AuditLog.of(story.shop.paths)
    assert log.verify() == []
    rule = next(entry for entry in log.entries() if entry.kind == "identity_rule")
    assert log.payload(rule) is None


def jsonl(*records: object) -> Callable[[BinaryIO], int]:
    def write(stream: BinaryIO) -> int:
        stream.write("".join(f"{json.dumps(record)}\n" for record in records).encode())
        return len(records)

    return write


def parquet(rows: pa.Table) -> Callable[[BinaryIO], int]:
    def write(stream: BinaryIO) -> int:
        pq.write_table(rows, stream)
        return int(rows.num_rows)

    return write


def test_pulled_files_are_sealed_anew_without_them(story: Story, shop: Shop) -> None:
    store = RawStore(shop.paths, "api")
    page = {"list": [{"openid": "oAnna00002", "n": 1}, {"openid": "oBo0000001", "tel": [PHONE]}]}
    store.write(".jsonl", jsonl(page, {"mobile": f"+86 {PHONE}"}, {"n": 3}), {"at": 1}, NOW, None)
    mails = pa.table({"id": [1, 2], "mail": [EMAIL.upper(), "b@b.cn"]})
    store.write(".parquet", parquet(mails), {"at": 2}, NOW, None)
    before = [(f.name, f.sha256, f.rows, f.cursor) for f in store.files()]
    names = text_matcher(shop.paths, story.subject)
    done = [erasure.erase_from_raw(shop.paths, names, {}, "request") for _ in range(2)]
    assert done == [
        {"records": 3, "files_sealed_anew": 2, "files_destroyed": 0},
        {"records": 0, "files_sealed_anew": 0, "files_destroyed": 0},
    ]
    # They still count as landed.
    assert [(f.name, f.sha256, f.rows, f.cursor) for f in store.files()] == before
    one, other = store.files()
    with store.open(one.path) as opened:
        assert list(map(json.loads, opened.read().splitlines())) == [
            {"list": [{"openid": "oBo0000001", "tel": []}]}, {"n": 3},
        ]  # fmt: skip
    with store.open(other.path) as opened:
        left = pq.read_table(pa.BufferReader(opened.read()))
    assert left.to_pylist() == [{"id": 2, "mail": "b@b.cn"}]


def test_a_pulled_file_that_cannot_be_taken_apart_is_destroyed_with_its_key(shop: Shop) -> None:
    store = RawStore(shop.paths, "objects")
    for name in ("hers", "anothers"):
        store.write(".xlsx", jsonl(name), {"of": name}, NOW, None, f"{name}.xlsx")
    hers, another = store.files()
    done = erasure.erase_from_raw(shop.paths, lambda _: False, {"objects": [hers.name]}, "request")
    assert done["files_destroyed"] == 1
    assert store.files() == [another]
    with pytest.raises(VaultError, match="destroyed"):
        shop.vault.batch_key(f"raw/objects/{hers.path.name}")


def test_a_value_of_json_loses_the_smallest_part_that_names_somebody() -> None:
    value = {
        "page": [{"who": "her", "n": 1}, {"who": "him", "friends": ["her", "me"]}],
        "of": "him",
    }
    assert without_named(value, lambda text: text == "her") == {
        "page": [{"who": "him", "friends": ["me"]}], "of": "him",
    }  # fmt: skip


@pytest.fixture
def siyu(story: Story, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command, on a home of the same retailer."""
    monkeypatch.setenv("SIYU_RETAILER", "shop")
    monkeypatch.setenv("SIYU_RETAILERS", str(story.shop.settings.retailers))

    def run(home: Path, *arguments: str | Path) -> Result:
        monkeypatch.setenv("SIYU_HOME", str(home))
        return CliRunner().invoke(app, [str(each) for each in arguments])

    return run


def test_a_restore_of_an_older_backup_erases_them_again(
    story: Story, shop: Shop, siyu: Callable[..., Result], tmp_path: Path
) -> None:
    made = back_up(shop.paths, tmp_path / "backups", tmp_path / "keys", datetime.now(UTC))
    marks, home = tmp_path / "tombstones.parquet", tmp_path / "restored"
    written = siyu(story.shop.settings.home, "tombstones", marks)
    assert (written.exit_code, "marks, which name nobody" in written.output) == (0, True)
    done = siyu(home, "restore", made.folder, "--keys", tmp_path / "keys", "--tombstones", marks)
    assert done.exit_code == 0, done.output
    assert "records of runs" in done.output
    restored = replace(shop, settings=replace(shop.settings, home=home))
    assert leaks(restored, story.subject) == []
    assert of_others(restored) == story.rows
    again = siyu(home, "erase", "--tombstones", marks)
    assert (again.exit_code, "0 new marks" in again.output) == (0, True), again.output


def test_a_restore_without_tombstones_says_what_is_missing(
    shop: Shop, siyu: Callable[..., Result], tmp_path: Path
) -> None:
    made = back_up(shop.paths, tmp_path / "backups", tmp_path / "keys", datetime.now(UTC))
    done = siyu(tmp_path / "restored", "restore", made.folder, "--keys", tmp_path / "keys")
    assert done.exit_code == 0
    assert "siyu erase --tombstones" in " ".join(done.output.split())


def test_requests_and_receipts_are_listed(story: Story, siyu: Callable[..., Result]) -> None:
    listed = siyu(story.shop.settings.home, "erasures")
    assert f"{story.request.request_id}  received 2026-06-30, due 2026-07-15" in listed.output
    assert "decided by the officer: done" in listed.output
    assert listed.output.count("still found: 0") == len(story.request.receipts)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name somebody"),
        (("--customer", "c_nobody"), "no customer c_nobody"),
        (("--identifier", "crm:M9999999"), "stand on no row"),
    ],
    ids=["nobody", "no customer", "no identifier"],
)
def test_who_cannot_be_told_is_not_erased(
    shop: Shop, siyu: Callable[..., Result], arguments: tuple[str, ...], said: str
) -> None:
    refused = siyu(shop.settings.home, "erase", *arguments)
    assert (refused.exit_code, said in refused.output) == (2, True), refused.output
    assert Requests(shop.paths).all() == []


def test_nobody_is_erased_twice_or_unasked(
    story: Story, shop: Shop, siyu: Callable[..., Result]
) -> None:
    twice = siyu(story.shop.settings.home, "erase", "--customer", ANNA)
    assert (twice.exit_code, "erased already" in twice.output) == (0, True), twice.output
    unasked = siyu(shop.settings.home, "erase", "--customer", BO)
    assert "Erase them? This cannot be undone." in unasked.output
    assert unasked.exit_code == 1
    assert Requests(shop.paths).all() == []


def test_a_phone_that_was_anothers_when_a_backup_was_made_erases_nobody(shop: Shop) -> None:
    phone = token(shop, FAMILY)
    bury(shop.paths, "request", {IDENTIFIER: [phone], CUSTOMER: ["c_later"]}, NOW)
    assert find_erased(shop.paths) is None
    bury(shop.paths, "request", {CUSTOMER: [CHEN]}, NOW)
    found = find_erased(shop.paths)
    assert found is not None
    assert found.customers == (CHEN,)


def test_a_table_whose_files_have_other_columns_loses_rows_too(tmp_path: Path) -> None:
    folder = tmp_path / "identity_event"
    write_deltalake(str(folder), pa.table({"customer_id": [ANNA, BO]}))
    more = pa.table(
        {"customer_id": [CHEN, BO], "other_identifier": ["crm:M1000001", "crm:M1000002"]}
    )
    write_deltalake(str(folder), more, mode="append", schema_mode="merge")
    assert drop_rows(folder, [ANNA, "crm:M1000001"]) == 2
    left = pa.table(DeltaTable(str(folder)).to_pyarrow_table()).to_pylist()
    assert sorted(row["customer_id"] for row in left) == [BO, BO]
