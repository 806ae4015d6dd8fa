"""A whole simulation on disk, and its files as the source systems would deliver them."""

import hashlib
import json
from collections import Counter
from dataclasses import fields
from datetime import date
from pathlib import Path

import duckdb
import phonenumbers
import pyarrow.parquet as pq
import pytest

from siyu.simulator import SimulationError, SimulationSummary, simulate
from siyu.simulator.identities import JUNK_PHONES
from siyu.simulator.parameters import DIRT, DirtRates


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimulationSummary:
    return simulate(tmp_path_factory.mktemp("made") / "sources", "tiny")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> SimulationSummary:
    """Sixty days, at the end of which much has not arrived."""
    return simulate(tmp_path_factory.mktemp("short") / "sources", "tiny", days=60)


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


EVENTS = (
    "read_json('{0}/mini_program/events_*.jsonl', columns = {{event_id: 'VARCHAR', "
    "event_name: 'VARCHAR', session_id: 'VARCHAR', unionid: 'VARCHAR', server_ts: 'BIGINT', "
    "log_ts: 'BIGINT'}})"
)
TRADES = "read_json('{0}/mall/trades_*.jsonl', maximum_depth = 1)"
MEMBERS = "read_csv('{0}/crm/members.csv', all_varchar = true)"
# Rows of the tills that are as they were first sent; what was spoilt has a key of its own, or none.
TILL = "(SELECT * FROM '{0}/pos/orders_*.parquet' WHERE order_no NOT LIKE 'PSBAD%')"
REPEATED = "SELECT count(*) - (SELECT count(*) FROM (SELECT DISTINCT * FROM {0})) FROM {0}"

# By feed and kind: how many rows, or persons, have it in the files.
DELIVERED = {
    ("pos.orders", "duplicate"): REPEATED.format("'{0}/pos/orders_*.parquet'"),
    ("pos.order_lines", "duplicate"): REPEATED.format("'{0}/pos/order_lines_*.parquet'"),
    ("pos.refunds", "duplicate"): REPEATED.format("'{0}/pos/refunds_*.parquet'"),
    ("pos.payments", "duplicate"): REPEATED.format("'{0}/pos/payments_*.parquet'"),
    ("mall.trades", "duplicate"): REPEATED.format(TRADES),
    ("crm.members", "duplicate"): REPEATED.format(MEMBERS),
    ("mini_program.events", "duplicate"):
        f"SELECT count(*) - count(DISTINCT event_id) FROM {EVENTS} WHERE event_id IS NOT NULL",
    ("mini_program.events", "late"):
        "SELECT count(DISTINCT event_id) "
        f"FROM {EVENTS} WHERE log_ts - server_ts >= 3600000 AND event_id NOT LIKE '%-event_name'",
    ("mini_program.events missing event_id", "invalid"):
        f"SELECT count(*) FROM {EVENTS} WHERE event_id IS NULL",
    ("mini_program.events missing event_name", "invalid"):
        f"SELECT count(*) FROM {EVENTS} WHERE event_name IS NULL",
    ("mini_program.events missing server_ts", "invalid"):
        f"SELECT count(*) FROM {EVENTS} WHERE server_ts IS NULL",
    ("pos.orders", "late"):
        "SELECT count(*) FROM (SELECT min(uploaded_at) - any_value(sale_time) AS took "
        f"FROM {TILL} GROUP BY order_no) WHERE took >= INTERVAL 6 HOUR",
    ("pos.orders", "corrected"):
        "SELECT count(*) FROM (SELECT order_no "
        f"FROM {TILL} GROUP BY 1 HAVING count(DISTINCT updated_at) > 1)",
    ("pos.orders", "anonymous_sale"):
        "SELECT count(DISTINCT order_no) "
        f"FROM {TILL} JOIN '{{0}}/truth/orders.parquet' ON order_id = order_no WHERE anonymous",
    ("pos.orders missing id", "invalid"):
        "SELECT count(*) FROM '{0}/pos/orders_*.parquet' WHERE order_no IS NULL",
    ("crm.members", "second_member"):
        f"SELECT count(DISTINCT member_no) FROM {MEMBERS} WHERE member_no LIKE 'M5%'",
    ("crm.points", "late"):
        "SELECT count(DISTINCT entry_no) FROM '{0}/crm/points.csv' "
        "WHERE record_time - occur_time >= INTERVAL 1 DAY",
    ("crm.consents", "late"):
        "SELECT count(DISTINCT consent_no) FROM '{0}/crm/consents.csv' "
        "WHERE record_time - effective_time >= INTERVAL 1 DAY AND consent_no NOT LIKE 'KBAD%'",
    ("crm.feedback", "phone_in_text"):
        "SELECT count(DISTINCT feedback_no) FROM '{0}/crm/feedback.csv' WHERE content LIKE '%请回电%'",
}  # fmt: skip

# Of what each kind is a share.
CONCERNED = {
    ("pos.orders", "late"): f"SELECT count(DISTINCT order_no) FROM {TILL}",
    ("pos.orders", "corrected"): f"SELECT count(DISTINCT order_no) FROM {TILL} WHERE member_no IS NOT NULL",
    ("pos.orders", "anonymous_sale"): f"SELECT count(DISTINCT order_no) FROM {TILL}",
    ("pos.orders", "duplicate"): f"SELECT count(*) FROM {TILL}",
    ("pos.order_lines", "duplicate"): "SELECT count(*) FROM '{0}/pos/order_lines_*.parquet'",
    ("mini_program.events", "late"): f"SELECT count(*) FROM {EVENTS}",
    ("mini_program.events", "duplicate"): f"SELECT count(*) FROM {EVENTS}",
    ("mini_program.sessions", "missing_unionid"): f"SELECT count(DISTINCT session_id) FROM {EVENTS}",
    ("crm.points", "late"): "SELECT count(*) FROM '{0}/crm/points.csv'",
    ("crm.consents", "late"): "SELECT count(*) FROM '{0}/crm/consents.csv'",
    ("crm.members", "junk_phone"): f"SELECT count(DISTINCT member_no) FROM {MEMBERS}",
    ("crm.members", "missing_phone"): f"SELECT count(DISTINCT member_no) FROM {MEMBERS}",
    ("crm.members", "shared_phone"): f"SELECT count(DISTINCT member_no) FROM {MEMBERS}",
    ("crm.members", "second_member"): f"SELECT count(DISTINCT member_no) FROM {MEMBERS}",
    ("crm.members", "missing_unionid"): f"SELECT count(DISTINCT member_no) FROM {MEMBERS}",
}  # fmt: skip


def counted(folder: Path) -> dict[tuple[str, str], int]:
    """The truth about dirt."""
    found = duckdb.sql(f"SELECT feed, kind, rows FROM '{folder}/truth/dirt.parquet'").fetchall()
    return {(feed, kind): rows for feed, kind, rows in found}


def scalar(sql: str, folder: Path) -> int:
    (found,) = duckdb.sql(sql.format(folder)).fetchone() or (0,)
    return int(found)


@pytest.mark.parametrize(("feed", "kind"), DELIVERED)
def test_the_truth_counts_the_dirt_that_is_delivered(
    made: SimulationSummary, short: SimulationSummary, feed: str, kind: str
) -> None:
    for folder in (made.folder, short.folder):
        assert scalar(DELIVERED[feed, kind], folder) == counted(folder)[feed, kind]


@pytest.mark.parametrize(("feed", "kind"), CONCERNED)
def test_dirt_comes_at_the_documented_rates(made: SimulationSummary, feed: str, kind: str) -> None:
    share = counted(made.folder)[feed, kind] / scalar(CONCERNED[feed, kind], made.folder)
    assert share == pytest.approx(getattr(DIRT, kind), rel=0.3)


def test_a_short_simulation_shows_every_kind_of_dirt(short: SimulationSummary) -> None:
    counts = counted(short.folder)
    assert {kind for _, kind in counts} == {field.name for field in fields(DirtRates)}
    # Who registers again does so after sixty days, which none of these has.
    assert [said for said, rows in counts.items() if not rows] == [("crm.members", "second_member")]


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
