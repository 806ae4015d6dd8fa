"""Manual rules are read as they are meant, or refused by file, row and column."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest

from siyu.identity_rules import COLUMNS, FILE, read_rules
from siyu.retailer import Retailer, RetailerError

PHONE = "phone:" + "0f" * 16


@pytest.fixture
def retailer(tmp_path: Path) -> Retailer:
    return Retailer.model_validate(
        {
            "name": "shop", "en": "Shop", "zh": "店", "timezone": "Asia/Shanghai",
            "currency": "CNY", "history_from": date(2026, 1, 1), "inputs": {}, "models": {},
            "identifiers": {"crm": {"type": "member_id"}, "wecom": {"type": "external_userid"}},
            "folder": tmp_path,
        }
    )  # fmt: skip


def write(retailer: Retailer, *rows: str, header: str = ",".join(COLUMNS)) -> Path:
    file = retailer.folder / FILE
    file.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return file


def refusal(retailer: Retailer, *rows: str) -> str:
    """What is said of a file, without the file."""
    file = write(retailer, *rows)
    with pytest.raises(RetailerError) as refused:
        read_rules(retailer)
    said = str(refused.value)
    assert said.startswith(f"{file}: ")
    return said.removeprefix(f"{file}: ")


def test_a_retailer_without_the_file_has_no_rules(retailer: Retailer) -> None:
    assert read_rules(retailer) == ()


def test_rules_are_read_in_one_order_with_their_moment_in_utc(retailer: Retailer) -> None:
    write(
        retailer,
        f"unlink,{PHONE},crm:2,li,2026-03-01T10:30,two sisters",
        "",
        'link, wecom:x ,crm:1,zhang,2026-03-01,"one person, two numbers"',
    )

    link, unlink = read_rules(retailer)

    assert (link.action, link.pair) == ("link", ("crm:1", "wecom:x"))
    assert (link.decided_by, link.reason) == ("zhang", "one person, two numbers")
    assert link.decided_at == datetime.fromisoformat("2026-02-28T16:00")
    assert (unlink.action, unlink.pair) == ("unlink", ("crm:2", PHONE))
    assert unlink.decided_at == datetime.fromisoformat("2026-03-01T02:30")


def test_a_spreadsheets_mark_of_encoding_is_no_part_of_the_first_column(retailer: Retailer) -> None:
    file = write(retailer, "link,crm:1,crm:2,zhang,2026-03-01,one person")
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())

    assert len(read_rules(retailer)) == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("join,crm:1,crm:2,z,2026-03-01,why", "row 3, action: write link or unlink"),
        ("link,crm:,crm:2,z,2026-03-01,why", "row 3, identifier_a: write <namespace>:<value>"),
        ("link,crm:1,erp:2,z,2026-03-01,why", "a namespace among crm, wecom, phone, email"),
        ("link,crm:1,crm:1,z,2026-03-01,why", "row 3, identifier_b: is identifier_a"),
        ("link,crm:1,crm:2,,2026-03-01,why", "row 3, decided_by: is empty"),
        ("link,crm:1,crm:2,z,yesterday,why", "row 3, decided_at: write a day, such as"),
        ("link,crm:1,crm:2,z,2026-03-01,", "row 3, reason: is empty; write why"),
        ("link,crm:1,crm:2,z,2026-03-01", "row 3: 5 cells, not 6"),
    ],
)
def test_a_bad_row_is_refused_by_row_and_column(retailer: Retailer, row: str, said: str) -> None:
    good = "unlink,crm:8,crm:9,z,2026-03-01,why"

    assert said in refusal(retailer, good, row)


@pytest.mark.parametrize(
    "row",
    [
        "link,crm:1,phone:13812345678,z,2026-03-01,why",
        "link,13812345678,crm:2,z,2026-03-01,why",
        "link,crm:1,crm:2,z,2026-03-01,calls from 138 1234 5678",
        "link,crm:1,crm:2,li@shop.cn,2026-03-01,why",
        "13812345678,crm:1,crm:2,z,13812345678,why",
    ],
)
def test_a_phone_in_clear_is_refused_and_not_repeated(retailer: Retailer, row: str) -> None:
    said = refusal(retailer, row)

    assert "row 2" in said
    assert not any(secret in said for secret in ("138", "li@"))


def test_every_fault_is_said_at_once(retailer: Retailer) -> None:
    said = refusal(retailer, "join,crm:1,crm:2,,2026-03-01,why", "link,crm:1,erp:1,z,2026-03-01,")

    assert [part.split(":")[0] for part in said.split("; ") if part.startswith("row")] == [
        "row 2, action", "row 2, decided_by", "row 3, identifier_b", "row 3, reason",
    ]  # fmt: skip


def test_the_same_pair_twice_is_refused_whichever_way_round(retailer: Retailer) -> None:
    rows = ["link,crm:1,crm:2,z,2026-03-01,why", "link,crm:2,crm:1,z,2026-03-02,why"]

    assert "row 3, action: repeats row 2" in refusal(retailer, *rows)


def test_a_link_and_an_unlink_of_one_pair_contradict_each_other(retailer: Retailer) -> None:
    rows = ["link,crm:1,crm:2,z,2026-03-01,why", "unlink,crm:2,crm:1,z,2026-03-02,why"]

    assert "row 3, action: contradicts row 2" in refusal(retailer, *rows)


def test_an_unlink_of_what_a_chain_of_links_joins_contradicts_it(retailer: Retailer) -> None:
    said = refusal(
        retailer,
        "unlink,crm:1,crm:3,z,2026-03-01,why",
        "link,crm:1,wecom:x,z,2026-03-01,why",
        "link,wecom:x,crm:3,z,2026-03-01,why",
    )

    assert said.startswith("row 2, action: parts what a chain of links makes one customer")


@pytest.mark.parametrize("content", [b"", b"action,identifier\n", b"\xff\xfe\x00", b'"a'])
def test_a_file_that_is_no_table_of_rules_is_refused_by_name(
    retailer: Retailer, content: bytes
) -> None:
    file = retailer.folder / FILE
    file.write_bytes(content)

    with pytest.raises(RetailerError, match=FILE):
        read_rules(retailer)
