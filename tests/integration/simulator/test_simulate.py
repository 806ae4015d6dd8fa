"""A whole simulation on disk, and its files as the source systems would deliver them."""

import hashlib
import json
from collections import Counter
from datetime import date
from pathlib import Path

import duckdb
import phonenumbers
import pyarrow.parquet as pq
import pytest

from siyu.simulator import SimulationError, SimulationSummary, simulate
from siyu.simulator.identities import JUNK_PHONES
from siyu.simulator.parameters import DIRT


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimulationSummary:
    return simulate(tmp_path_factory.mktemp("made") / "sources", "tiny")


def digests(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


def test_the_same_arguments_give_the_same_bytes(made: SimulationSummary, tmp_path: Path) -> None:
    again = simulate(tmp_path / "again", "tiny")
    assert digests(again.folder) == digests(made.folder)


def test_another_seed_gives_another_retailer(made: SimulationSummary, tmp_path: Path) -> None:
    other = digests(simulate(tmp_path / "other", "tiny", seed=8).folder)
    assert other["crm/members.csv"] != digests(made.folder)["crm/members.csv"]


def test_a_short_simulation_elsewhere_in_time_works(tmp_path: Path) -> None:
    made = simulate(tmp_path / "short", 50, through=date(2023, 2, 28), days=60)
    assert made.first_day == date(2022, 12, 31)
    assert made.rows["pos/orders"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 10}, "use 50 members or more"),
        ({"size": "huge"}, "use tiny, demo or a number"),
        ({"size": "tiny", "days": 10}, "use 60 or more"),
        ({"size": "tiny", "dirt": -1.0}, "use 0 for clean data"),
        ({"size": "tiny", "through": date(1990, 1, 1)}, "SPRING_FESTIVALS"),
    ],
)
def test_an_argument_that_cannot_be_used_is_refused_with_what_to_do(
    arguments: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SimulationError, match=message):
        simulate(tmp_path / "refused", **arguments)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_simulation_that_dies_leaves_nothing_and_keeps_the_last(tmp_path: Path) -> None:
    folder = simulate(tmp_path / "sources", 50, days=60).folder
    before = digests(folder)

    def die(step: str) -> None:
        if "WeCom" in step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(folder, 50, days=60, seed=9, on_progress=die)
    assert digests(folder) == before
    assert [found.name for found in tmp_path.iterdir()] == ["sources"]


def test_what_a_killed_simulation_left_is_swept_away(tmp_path: Path) -> None:
    left = tmp_path / ".sources.partial" / "crm"
    left.mkdir(parents=True)
    (left / "half.csv").write_text("x", "utf-8")
    folder = simulate(tmp_path / "sources", 50, days=60).folder
    assert not (folder / "crm" / "half.csv").exists()
    assert [found.name for found in tmp_path.iterdir()] == ["sources"]


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", "utf-8")
    with pytest.raises(SimulationError, match="choose another folder"):
        simulate(tmp_path, 50, days=60)
    assert (tmp_path / "thesis.txt").read_text("utf-8") == "years of work"


def test_no_dirt_means_no_duplicate_and_no_spoilt_row(tmp_path: Path) -> None:
    folder = simulate(tmp_path / "clean", "tiny", dirt=0.0).folder
    assert set(pq.read_table(folder / "truth/dirt.parquet")["rows"].to_pylist()) == {0}
    orders = duckdb.sql(f"FROM '{folder}/pos/orders_*.parquet'")
    assert orders.aggregate("count(*) - count(DISTINCT order_no)").fetchone() == (0,)


def test_each_identifier_has_one_owner_unless_it_is_marked_as_shared(
    made: SimulationSummary,
) -> None:
    owners = duckdb.sql(
        "SELECT namespace, value, count(DISTINCT person_id) AS owners, bool_and(shared) AS shared "
        f"FROM '{made.folder}/truth/identifiers.parquet' GROUP BY ALL"
    )
    assert owners.filter("owners > 1 AND NOT shared").fetchall() == []
    assert owners.filter("owners > 1 AND namespace = 'phone'").fetchall() != []


def test_every_identifier_in_the_crm_is_its_members_own_by_the_truth(
    made: SimulationSummary,
) -> None:
    members = f"read_csv('{made.folder}/crm/members.csv', all_varchar = true)"
    truth = f"'{made.folder}/truth/identifiers.parquet'"
    for namespace, column in (("wxopen", "wx_unionid"), ("wxa", "wx_openid"), ("phone", "mobile")):
        astray = duckdb.sql(
            f"SELECT m.member_no FROM {members} AS m WHERE {column} IS NOT NULL "
            "AND member_no NOT LIKE 'MBAD%' AND NOT EXISTS ("
            f"SELECT 1 FROM {truth} AS i JOIN {truth} AS own USING (person_id) "
            f"WHERE i.namespace = '{namespace}' AND i.value = m.{column} "
            "AND own.namespace = 'crm' AND own.value = m.member_no)"
        )
        assert astray.fetchall() == [], namespace


def test_phones_are_valid_mobiles_and_only_junk_repeats_widely(made: SimulationSummary) -> None:
    phones = Counter(
        phone
        for (phone,) in duckdb.sql(
            "SELECT DISTINCT ON (member_no) mobile FROM "
            f"read_csv('{made.folder}/crm/members.csv', all_varchar = true) "
            "WHERE mobile IS NOT NULL"
        ).fetchall()
    )
    for phone in set(phones) - set(JUNK_PHONES):
        number = phonenumbers.parse(phone, "CN")
        assert phonenumbers.is_valid_number(number)
        assert phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE
    assert set(phones) & set(JUNK_PHONES)


def test_nobody_is_seen_buying_after_dropout(made: SimulationSummary) -> None:
    late = duckdb.sql(
        f"FROM '{made.folder}/truth/orders.parquet' JOIN '{made.folder}/truth/people.parquet' "
        "USING (person_id) SELECT count(*) WHERE CAST(ordered_at_local AS DATE) >= dropout_on"
    )
    assert late.fetchone() == (0,)


def test_order_numbers_in_the_feeds_are_those_of_the_truth(made: SimulationSummary) -> None:
    feeds = duckdb.sql(
        f"SELECT order_no FROM '{made.folder}/pos/orders_*.parquet' "
        "WHERE order_no NOT LIKE 'PSBAD%' UNION "
        f"SELECT full_order_info.order_info.tid FROM read_json('{made.folder}/mall/trades_*.jsonl') "
        "WHERE full_order_info.order_info.tid IS NOT NULL AND len(full_order_info.orders) > 0"
    )
    truth = {
        number for (number,) in duckdb.sql(
            f"SELECT order_id FROM '{made.folder}/truth/orders.parquet'"
        ).fetchall()
    }  # fmt: skip
    delivered = {number for (number,) in feeds.fetchall()}
    assert delivered <= truth
    # Only what the last days' uploads and polls have not brought yet is missing.
    assert len(delivered) > 0.98 * len(truth)


def test_dirt_comes_at_the_documented_rates(made: SimulationSummary) -> None:
    counts = {
        (feed, kind): rows
        for feed, kind, rows in duckdb.sql(
            f"SELECT feed, kind, rows FROM '{made.folder}/truth/dirt.parquet'"
        ).fetchall()
    }
    events = made.rows["mini_program/events"]
    assert counts["mini_program.events", "late"] / events == pytest.approx(DIRT.late, rel=0.3)
    assert counts["mini_program.events", "duplicate"] / events == pytest.approx(
        DIRT.duplicate, rel=0.4
    )
    assert min(rows for (_, kind), rows in counts.items() if kind != "invalid") > 0
    repeated = duckdb.sql(
        "SELECT count(*) - count(DISTINCT (order_no, line_no)) "
        f"FROM '{made.folder}/pos/order_lines_*.parquet' WHERE order_no IS NOT NULL"
    )
    assert repeated.fetchone() == (counts["pos.order_lines", "duplicate"],)


def test_a_corrected_till_order_comes_again_later_with_its_member(
    made: SimulationSummary,
) -> None:
    versions = duckdb.sql(
        "SELECT order_no, list(member_no IS NOT NULL ORDER BY updated_at) AS known, "
        "list(uploaded_at ORDER BY updated_at) AS uploaded "
        f"FROM (SELECT DISTINCT * FROM '{made.folder}/pos/orders_*.parquet') "
        "WHERE order_no IS NOT NULL GROUP BY 1 HAVING count(*) > 1"
    ).fetchall()
    assert len(versions) >= 5
    for _, known, uploaded in versions:
        assert known == [False, True]
        assert uploaded[0] < uploaded[1]


def test_late_events_lie_out_of_order_in_the_file_of_the_month_that_logged_them(
    made: SimulationSummary,
) -> None:
    events = duckdb.sql(
        "SELECT server_ts, log_ts, parse_filename(filename, true)[-7:] AS month FROM read_json("
        f"'{made.folder}/mini_program/events_*.jsonl', filename = true, "
        "columns = {server_ts: 'BIGINT', log_ts: 'BIGINT'})"
    )
    astray = events.filter(
        "strftime(make_timestamp(log_ts * 1000) + INTERVAL 8 HOUR, '%Y-%m') <> month"
    )
    assert astray.fetchall() == []
    assert events.filter("log_ts - server_ts > 3600000").fetchall() != []


def test_mall_phones_are_encrypted_and_amounts_are_yuan_texts(made: SimulationSummary) -> None:
    trades = duckdb.sql(
        "SELECT full_order_info AS t FROM read_json("
        f"'{made.folder}/mall/trades_2025-05.jsonl', maximum_depth = 1) LIMIT 50"
    )
    for (text,) in trades.fetchall():
        trade = json.loads(text) if isinstance(text, str) else text
        assert trade["buyer_info"]["buyer_phone"].endswith("$1$")
        assert isinstance(trade["pay_info"]["payment"], str)


def test_contacts_have_the_shape_of_the_api_and_some_lack_the_unionid(
    made: SimulationSummary,
) -> None:
    pages = [
        json.loads(line)
        for file in sorted(made.folder.glob("wecom/contacts_*.jsonl"))
        for line in file.read_text("utf-8").splitlines()
    ]
    contacts = [contact for page in pages for contact in page["external_contact_list"]]
    assert {page["errcode"] for page in pages} == {0}
    assert max(len(page["external_contact_list"]) for page in pages) <= 100
    assert {"external_userid", "name", "type", "gender", "unionid"} <= set(
        contacts[0]["external_contact"]
    )
    lacking = [c for c in contacts if c["external_contact"]["unionid"] is None]
    assert 0.05 < len(lacking) / len(contacts) < 0.3
