"""WeCom's resources over real HTTP, with everything that goes wrong there."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_wecom import CONTACTS, DAY, PHONE, SECRET, TOKEN, FakeWecom, contact
from http_api_server import (
    BROKEN,
    CUT_SHORT,
    NO_JSON,
    RESET,
    SILENT,
    ApiServer,
    Fault,
    says,
)
from http_pulling import NOW, Pulling
from made_up_shop import Shop

from siyu.config import REPO
from siyu.ingestion.connectors import PULLERS, records
from siyu.ingestion.connectors.wecom import RESOURCES, pull
from siyu.ingestion.pull import PullError, pull_connection
from siyu.retailer import read_retailer


@pytest.fixture
def wecom() -> FakeWecom:
    return FakeWecom()


@pytest.fixture
def server(wecom: FakeWecom) -> Iterator[ApiServer]:
    with ApiServer(wecom.routes) as server:
        yield server


@pytest.fixture
def pulling(
    tmp_path: Path,
    server: ApiServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Pulling]:
    """A pull of contacts; whatever happens, its log gives nothing away."""
    monkeypatch.setenv("WECOM_SECRET", SECRET)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    caplog.set_level(logging.DEBUG)
    connection = {
        "type": "wecom", "base_url": server.url, "corp_id": "ww1", "secret": "${WECOM_SECRET}",
        "timeout_seconds": 10,
    }  # fmt: skip
    yield Pulling(tmp_path, connection, pull, {"external_contacts": {}})
    logged = "\n".join(record.getMessage() for record in caplog.get_records("call"))
    assert "/cgi-bin/gettoken" in logged
    for private in (SECRET, "token-", PHONE, "李四"):
        assert private not in logged


def refused(pulling: Pulling, now: datetime = NOW) -> PullError:
    """The error of a pull, which gives nothing away."""
    with pytest.raises(PullError) as raised:
        pulling.pull(now)
    for private in (SECRET, "token-", PHONE, "李四", "127.0.0.1"):
        assert private not in str(raised.value)
    return raised.value


def kept(pulling: Pulling) -> list[str]:
    """Contacts in the raw files, in order."""
    return [
        line["external_contact_list"][0]["external_contact"]["external_userid"]
        for line in pulling.lines("external_contacts")
        if "gone" not in line
    ]


def test_contacts_of_every_member_of_staff_are_kept_one_a_line(
    pulling: Pulling, wecom: FakeWecom
) -> None:
    report = pulling.pull()["external_contacts"]
    assert (report.files, report.rows, report.cursor["done"]) == (1, 5, True)
    assert kept(pulling) == ["wma1", "wma2", "wma3", "wmb1", "wmb2"]
    assert pulling.lines("external_contacts")[0] == {
        "pulled_at": "2026-06-10T04:00:00+00:00",
        "staff_id": "anna",
        "external_contact_list": [wecom.contacts["anna"][0]],
    }


def test_codes_and_fields_that_nobody_knows_pass_through(
    pulling: Pulling, wecom: FakeWecom
) -> None:
    strange = contact("a1", add_way=999, wechat_channels={"source": 7}, nickname="cut \ud83d")
    wecom.contacts = {"anna": [strange]}
    pulling.pull()
    follow = pulling.lines("external_contacts")[0]["external_contact_list"][0]["follow_info"]
    assert (follow["add_way"], follow["wechat_channels"]) == (999, {"source": 7})
    assert follow["nickname"] == "cut ?"


@pytest.mark.parametrize("code", [40014, 42001, 40001])
def test_an_expired_token_is_renewed(
    pulling: Pulling, server: ApiServer, wecom: FakeWecom, code: int
) -> None:
    server.faults[CONTACTS] += [says(errcode=code, errmsg="access_token expired")]
    pulling.pull()
    assert kept(pulling) == ["wma1", "wma2", "wma3", "wmb1", "wmb2"]
    assert (wecom.tokens, pulling.waits) == (2, [])


def test_a_token_that_is_refused_though_new_is_reported(
    pulling: Pulling, server: ApiServer
) -> None:
    server.always[CONTACTS] = says(errcode=40014, errmsg="invalid access_token")
    error = refused(pulling)
    assert "external_contacts: a new access token is refused as well (errcode 40014)" in str(error)
    assert not error.transient


def test_a_wrong_secret_stops_the_connection(
    pulling: Pulling, monkeypatch: pytest.MonkeyPatch, server: ApiServer
) -> None:
    monkeypatch.setenv("WECOM_SECRET", "wrong-secret")
    error = refused(pulling)
    assert "does not accept the connection's corp_id and secret (errcode 40001)" in str(error)
    assert "wrong-secret" not in str(error)
    assert [request.path for request in server.requests] == [TOKEN]


FAULTS = {
    "server error": (BROKEN, "HTTP 502"),
    "reset": (RESET, "the connection failed"),
    "cut short": (CUT_SHORT, "the connection failed (RemoteProtocolError)"),
    "no json": (NO_JSON, "an answer that is no whole JSON object"),
    "silent": (SILENT, "no answer in time"),
    "rate limit": (says(errcode=45009, errmsg="api freq out of limit"), "errcode 45009"),
    "concurrency": (says(errcode=45033, errmsg="api concurrent out of limit"), "errcode 45033"),
    "too many": (Fault(status=429), "HTTP 429"),
    "busy": (says(errcode=-1, errmsg="system busy"), "busy"),
}


@pytest.mark.parametrize("fault", [fault for fault, _ in FAULTS.values()], ids=list(FAULTS))
def test_what_passes_is_asked_again(pulling: Pulling, server: ApiServer, fault: Fault) -> None:
    pulling.impatient(fault)
    server.faults[CONTACTS] += [fault, fault]
    pulling.pull()
    assert kept(pulling) == ["wma1", "wma2", "wma3", "wmb1", "wmb2"]
    assert len(pulling.waits) >= 2  # more where this machine, too, was slow to answer
    assert 0 < pulling.waits[0] < pulling.waits[1]


@pytest.mark.parametrize(("fault", "said"), FAULTS.values(), ids=list(FAULTS))
def test_what_does_not_pass_is_said_and_what_came_before_is_kept(
    pulling: Pulling, server: ApiServer, wecom: FakeWecom, fault: Fault, said: str
) -> None:
    pulling.impatient(fault)
    answer = wecom.routes[CONTACTS]

    def breaks_at_boris(query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        if body["userid_list"] == ["anna"] and body["cursor"] == "2":
            server.always[CONTACTS] = fault
        return answer(query, body)

    wecom.routes[CONTACTS] = breaks_at_boris
    error = refused(pulling)
    assert "input external_contacts: external_contacts: " in str(error)
    assert said in str(error)
    assert error.transient
    assert kept(pulling) == ["wma1", "wma2", "wma3"]

    server.always.clear()
    pulling.connection = {**pulling.connection, "timeout_seconds": 10}
    before = len(server.requests)
    pulling.pull(NOW + timedelta(hours=1))
    assert kept(pulling) == ["wma1", "wma2", "wma3", "wmb1", "wmb2"]
    asked = [request.body["userid_list"] for request in server.requests[before:] if request.body]
    assert asked == [["boris"], ["carol"]]


def test_a_rate_limit_is_given_time(pulling: Pulling, server: ApiServer) -> None:
    server.faults[CONTACTS] += [says(errcode=45009, errmsg="api freq out of limit")]
    pulling.pull()
    assert pulling.waits[0] >= 15


def test_retry_after_is_honoured(pulling: Pulling, server: ApiServer) -> None:
    server.faults[CONTACTS] += [Fault(status=503, headers={"Retry-After": "42"})]
    pulling.pull()
    assert 42 <= pulling.waits[0] < 60


def test_a_server_that_wants_hours_is_left_alone(pulling: Pulling, server: ApiServer) -> None:
    server.always[CONTACTS] = Fault(status=503, headers={"Retry-After": "7200"})
    error = refused(pulling)
    assert error.transient
    assert "in 7200 seconds at the earliest" in str(error)
    assert pulling.waits == []


def test_a_break_in_the_middle_of_a_member_of_staff_is_gone_on_with_at_that_page(
    pulling: Pulling, server: ApiServer, wecom: FakeWecom
) -> None:
    server.faults[CONTACTS] += [Fault(answer=wecom.batch({"access_token": "token-0"}, {
        "userid_list": ["anna"], "cursor": ""})), *[BROKEN] * 6]  # fmt: skip
    refused(pulling)
    before = len(server.requests)
    pulling.pull(NOW + timedelta(hours=1))
    assert kept(pulling) == ["wma1", "wma2", "wma3", "wmb1", "wmb2"]
    first = next(request for request in server.requests[before:] if request.path == CONTACTS)
    assert first.body == {"userid_list": ["anna"], "limit": 100, "cursor": "2"}


def test_a_page_that_is_no_longer_known_begins_the_member_of_staff_anew(
    pulling: Pulling, server: ApiServer, wecom: FakeWecom
) -> None:
    server.faults[CONTACTS] += [Fault(answer=wecom.batch({"access_token": "token-0"}, {
        "userid_list": ["anna"], "cursor": ""})), *[BROKEN] * 6,
        says(errcode=40058, errmsg="invalid cursor")]  # fmt: skip
    refused(pulling)
    pulling.pull(NOW + timedelta(hours=1))
    assert kept(pulling) == ["wma1", "wma2", "wma3", "wmb1", "wmb2"]


def test_what_did_not_change_is_not_kept_again_and_what_went_is_noticed(
    pulling: Pulling, wecom: FakeWecom
) -> None:
    pulling.pull()
    wecom.contacts["anna"] = [contact("a1", remark="VIP"), contact("a3")]
    report = pulling.pull(NOW + DAY)["external_contacts"]
    changed, gone = pulling.lines("external_contacts")[5:]
    assert changed["external_contact_list"][0]["follow_info"]["remark"] == "VIP"
    assert gone == {
        "pulled_at": "2026-06-11T04:00:00+00:00",
        "gone": {"staff_id": "anna", "external_userid": "wma2", "createtime": 1_780_500_000},
    }
    assert report.warnings == ("1 are no longer listed",)
    assert pulling.pull(NOW + 2 * DAY)["external_contacts"].rows == 0


def test_contacts_of_staff_who_cannot_be_read_are_not_taken_as_gone(
    pulling: Pulling, server: ApiServer, wecom: FakeWecom
) -> None:
    pulling.pull()
    wecom.contacts["boris"] = [contact("b1"), contact("b2", remark="VIP")]
    server.faults[CONTACTS] += [says(errcode=60111, errmsg="userid not found: anna")]
    report = pulling.pull(NOW + DAY)["external_contacts"]
    assert report.rows == 1
    assert report.warnings == ("a member of staff who has just left is left out",)


def test_a_listing_that_is_empty_all_at_once_is_not_believed(
    pulling: Pulling, wecom: FakeWecom
) -> None:
    pulling.pull()
    wecom.contacts = {}
    error = refused(pulling, NOW + DAY)
    assert "lists none of the 5 it had; check what the app may see" in str(error)
    assert len(pulling.lines("external_contacts")) == 5


def test_a_pass_whose_state_was_lost_begins_anew(
    pulling: Pulling, server: ApiServer, wecom: FakeWecom
) -> None:
    server.faults[CONTACTS] += [
        Fault(answer=wecom.batch({"access_token": "token-0"}, {"userid_list": ["boris"], "cursor": ""})),
        *[BROKEN] * 6,
    ]  # fmt: skip
    refused(pulling)
    for state in pulling.store("external_contacts").folder.glob("seen*"):
        state.unlink()
    report = pulling.pull(NOW + timedelta(hours=1))["external_contacts"]
    assert report.rows == 5
    assert all("gone" not in line for line in pulling.lines("external_contacts"))


def test_a_long_listing_is_kept_in_pieces_of_which_the_last_ends_the_pass(
    pulling: Pulling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "_PIECE_BYTES", 500)  # two contacts
    report = pulling.pull()["external_contacts"]
    assert report.files == 2
    assert report.cursor == {"pass": "2026-06-10T04:00:00+00:00", "done": True}
    assert kept(pulling) == ["wma1", "wma2", "wma3", "wmb1", "wmb2"]


def test_tags_and_groups_with_their_members(pulling: Pulling, server: ApiServer) -> None:
    pulling.inputs = {"corp_tags": {}, "group_chats": {}}
    server.faults["/cgi-bin/externalcontact/groupchat/get"] += [
        says(errcode=49008, errmsg="group is dismissed")
    ]
    pulling.pull()
    (tags,) = pulling.lines("corp_tags")
    assert tags["tag_group"][0]["tag"][0]["name"] == "大鸟"
    (group,) = pulling.lines("group_chats")
    assert (group["status"], group["group_chat"]["chat_id"]) == (0, "wr2")
    assert [one["userid"] for one in group["group_chat"]["member_list"]] == ["anna", "wma1"]


def test_statistics_are_asked_for_by_day_once_it_is_over(
    pulling: Pulling, server: ApiServer
) -> None:
    path = "/cgi-bin/externalcontact/get_user_behavior_data"
    pulling.inputs = {"staff_statistics": {"pull": {"window_days": 5}}}
    first = pulling.pull()["staff_statistics"]
    # Nine days are over since the first of June, for each of three members of staff.
    assert (first.rows, first.cursor) == (27, {"through": "2026-06-09"})
    assert len(server.asked(path)) == 2 * 3
    assert pulling.pull()["staff_statistics"].rows == 0
    assert len(server.asked(path)) == 2 * 3
    assert pulling.pull(NOW + DAY)["staff_statistics"].rows == 3
    line = pulling.lines("staff_statistics")[-1]
    assert (line["staff_id"], line["behavior_data"][0]["chat_cnt"]) == ("carol", 100)


def test_statistics_go_on_from_the_member_of_staff_where_they_broke(
    pulling: Pulling, server: ApiServer
) -> None:
    path = "/cgi-bin/externalcontact/get_user_behavior_data"
    pulling.inputs = {"staff_statistics": {"pull": {"window_days": 30}}}
    server.faults[path] += [says(errcode=0, behavior_data=[{"stat_time": 1}]), *[BROKEN] * 6]
    refused(pulling)
    pulling.pull(NOW + timedelta(hours=1))
    asked = [request.body["userid"] for request in server.asked(path)]
    assert asked == [["anna"], *[["boris"]] * 7, ["carol"]]


def test_mass_sends_with_what_staff_did_and_what_became_of_them(
    pulling: Pulling, server: ApiServer
) -> None:
    pulling.inputs = {"mass_sends": {}, "mass_send_tasks": {}, "mass_send_results": {}}
    pulling.pull()
    sends = pulling.lines("mass_sends")
    assert {send["group_msg_list"][0]["msgid"] for send in sends} == {"msg1", "msg2"}
    tasks = pulling.lines("mass_send_tasks")
    assert [
        (line["request"]["msgid"], line["response"]["task_list"][0]["userid"]) for line in tasks
    ] == [("msg2", "anna"), ("msg2", "boris"), ("msg1", "anna"), ("msg1", "boris")]
    results = pulling.lines("mass_send_results")
    assert len(results) == 2 * 2 * 2
    assert results[0]["request"] == {
        "msgid": "msg2", "creator": "anna", "create_type": 0,
        "create_time": int((NOW - 2 * DAY).timestamp()), "chat_type": "single", "userid": "anna",
    }  # fmt: skip
    assert results[1]["response"]["send_list"] == [
        {"external_userid": "wm1", "userid": "anna", "status": 9}
    ]


def test_results_go_on_after_the_last_member_of_staff_that_was_kept(
    pulling: Pulling, server: ApiServer
) -> None:
    path = "/cgi-bin/externalcontact/get_groupmsg_send_result"
    pulling.inputs = {"mass_send_results": {}}
    sent = {"external_userid": "wm1", "userid": "anna", "status": 1}
    server.faults[path] += [says(errcode=0, send_list=[sent]), *[RESET] * 6]
    refused(pulling)
    assert len(pulling.lines("mass_send_results")) == 1
    pulling.pull(NOW + timedelta(hours=1))
    found = [
        (line["request"]["msgid"], line["request"]["userid"])
        for line in pulling.lines("mass_send_results")
    ]
    assert found[1:] == [("msg2", "boris")] * 2 + [("msg1", "anna")] * 2 + [("msg1", "boris")] * 2


SENDS = "/cgi-bin/externalcontact/get_groupmsg_list_v2"


@pytest.mark.parametrize(("resource", "path", "answer"), [
    ("external_contacts", CONTACTS, {"external_contact_list": [], "fail_info": [PHONE]}),
    ("external_contacts", CONTACTS, {"external_contact_list": PHONE}),
    ("mass_send_tasks", SENDS, {"group_msg_list": [{"msgid": "m1", "create_time": PHONE + "?"}]}),
    ("mass_sends", SENDS, {"errcode": [PHONE]}),
    ("group_chats", "/cgi-bin/externalcontact/groupchat/get", {}),
])  # fmt: skip
def test_an_answer_of_a_shape_that_nobody_knows_fails_its_input_and_no_other(
    pulling: Pulling, server: ApiServer, resource: str, path: str, answer: dict[str, Any]
) -> None:
    pulling.inputs = {resource: {}, "corp_tags": {}}
    server.always[path] = says(**{"errcode": 0, **answer})
    error = refused(pulling)
    assert set(error.errors) == {resource}
    assert "changed" in str(error)
    assert not error.transient
    assert pulling.lines(resource) == []
    assert len(pulling.lines("corp_tags")) == 1


def test_staff_without_a_licence_are_left_out_and_their_contacts_not_taken_as_gone(
    pulling: Pulling, server: ApiServer, wecom: FakeWecom
) -> None:
    pulling.pull()
    wecom.contacts["boris"] = [contact("b1"), contact("b2", remark="VIP")]
    server.faults[CONTACTS] += [
        says(errcode=0, external_contact_list=[], fail_info={"unlicensed_userid_list": ["anna"]})
    ]
    report = pulling.pull(NOW + DAY)["external_contacts"]
    assert report.rows == 1
    assert report.warnings == ("a member of staff without a licence is left out",)


def test_a_damaged_state_fails_its_input_and_no_other(pulling: Pulling) -> None:
    pulling.inputs = {"external_contacts": {}, "corp_tags": {}}
    pulling.pull()
    (state,) = pulling.store("external_contacts").folder.glob("seen*")
    state.write_bytes(state.read_bytes()[:-1])
    error = refused(pulling, NOW + DAY)
    assert set(error.errors) == {"external_contacts"}
    assert f"{state.name} is not a whole sealed file" in str(error)
    state.unlink()
    assert pulling.pull(NOW + DAY)["external_contacts"].rows == 5


def test_a_resource_that_does_not_exist_is_named_and_the_others_are_pulled(
    pulling: Pulling,
) -> None:
    pulling.inputs = {"moments": {}, "external_contacts": {}, "callbacks": {}}
    error = refused(pulling)
    assert "WeCom has no resource moments; as location in retailer.yaml it knows" in str(error)
    assert all(name in str(error) for name in (*RESOURCES, "callbacks"))
    assert len(pulling.lines("external_contacts")) == 5


def test_a_refusal_says_what_to_do(pulling: Pulling, server: ApiServer) -> None:
    server.always[CONTACTS] = says(
        errcode=60020, errmsg=f"not allow to access from your ip {PHONE}"
    )
    error = refused(pulling)
    assert "errcode 60020; add this machine's address to the app's trusted addresses" in str(error)
    assert not error.transient


def test_credentials_are_not_sent_in_clear(pulling: Pulling, server: ApiServer) -> None:
    pulling.pull()
    pulling.connection = {**pulling.connection, "base_url": "http://qyapi.example.com"}
    with pytest.raises(PullError, match="begin it with https"):
        pulling.pull()


def test_the_demo_retailers_mapping_reads_what_is_pulled(pulling: Pulling, shop: Shop) -> None:
    pulling.pull()
    shop.write("contacts.jsonl", pulling.plain("external_contacts"))
    shop.write(
        "lost.csv",
        "external_userid,unionid,nickname,gender,userid,remark_mobile,add_way,state,tag_id,"
        "add_time,lost_time,lost_type\n",
    )
    demo = read_retailer(REPO / "retailers" / "demo")
    columns = dict(demo.inputs["wecom_contacts"].columns)
    shop.said["identifiers"] = {
        "wecom": {"type": "external_userid"},
        "wxopen": {"type": "unionid"},
    }
    shop.input("wecom_contacts", format="jsonl", location="contacts.jsonl", columns=columns)
    shop.input("wecom_lost_contacts", format="csv", location="lost.csv")
    shop.mapping("contacts", demo.mappings["contacts"].read_text("utf-8"))
    shop.land("contacts")
    assert shop.broken() == []
    assert shop.rows("contacts", "external_userid, staff_id, add_way, added_at::VARCHAR")[0] == (
        "wecom:wma1", "anna", "1", "2026-06-03 15:20:00",
    )  # fmt: skip
    assert len(shop.rows("contacts")) == 5


def documented(language: str) -> list[str]:
    """Blocks of a language in the page on WeCom."""
    text = (REPO / "docs" / "connect-wecom.md").read_text("utf-8")
    return [block.partition("```")[0] for block in text.split(f"```{language}\n")[1:]]


def test_the_documented_mapping_ends_contacts_that_are_gone(
    pulling: Pulling, wecom: FakeWecom, shop: Shop
) -> None:
    pulling.pull()
    wecom.contacts["anna"] = [contact("a1", remark_mobiles=["13800000002"])]
    pulling.pull(NOW + DAY)
    (settings,) = map(yaml.safe_load, documented("yaml"))
    shop.said["identifiers"] = settings["identifiers"]
    said = settings["inputs"]["wecom_contacts"]
    shop.input("wecom_contacts", format="jsonl", location="c.jsonl", columns=said["columns"])
    shop.write("c.jsonl", pulling.plain("external_contacts"))
    shop.mapping("contacts", documented("sql")[0])
    shop.land("contacts")
    assert shop.broken() == []
    ended = shop.query(
        "SELECT external_userid, arg_max(deleted_at, updated_at)::VARCHAR FROM lake.contacts "
        "GROUP BY 1 ORDER BY 1"
    )
    assert ended == [
        ("wecom:wma1", None),
        ("wecom:wma2", "2026-06-11 04:00:00"),
        ("wecom:wma3", "2026-06-11 04:00:00"),
        ("wecom:wmb1", None),
        ("wecom:wmb2", None),
    ]


def test_the_table_of_pullers_knows_wecom(pulling: Pulling) -> None:
    pull_connection(pulling.settings, pulling.retailer, "api", PULLERS, NOW)
    assert len(kept(pulling)) == 5
