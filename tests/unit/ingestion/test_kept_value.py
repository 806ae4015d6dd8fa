"""The value of a rule that was broken, as it may be kept in the open."""

import duckdb
import pytest

from siyu.contracts import Column
from siyu.ingestion.rules import kept_value

PHONE, EMAIL = "13926471580", "zhang.wei@gmail.com"
TYPED = Column(name="remark", type="string", en="Remark", zh="备注")
PHONE_COLUMN = Column(
    name="phone", type="string", en="Phone", zh="手机", pii="direct", kind="phone"
)


def kept(said: str, column: Column = TYPED) -> str | None:
    sql = f"SELECT {kept_value(column, 'said')} FROM (SELECT $1 AS said)"
    (value,) = duckdb.execute(sql, [said]).fetchone() or ("",)
    assert value is None or isinstance(value, str)
    return value


def test_a_short_value_is_kept_as_it_is_and_a_long_one_cut() -> None:
    assert kept("gift") == "gift"
    assert kept("礼" * 200) == "礼" * 80
    assert kept("") == ""


@pytest.mark.parametrize("private", [PHONE, EMAIL, f"{EMAIL[:3]}+news@mail.example.cn"])
def test_a_phone_or_mail_across_the_cut_is_masked_whole(private: str) -> None:
    for before in range(60, 82):
        said = "礼" * (before - 1) + " "
        assert kept(said + private + " 谢谢") == (said + "▮ 谢谢")[:80]


@pytest.mark.parametrize("end", [f" {PHONE}", f" {EMAIL}", f" {'z' * 60}.li@{'mail.' * 40}cn"])
def test_no_half_of_one_is_left_where_a_field_of_many_is_looked_at_no_further(end: str) -> None:
    for before in range(1_000, 1_030, 3):
        # Masks make the text so short that its end would be kept.
        said = f"{PHONE} " * (before // 12)
        value = kept(said + "." * (before - len(said)) + end + " more" * 1_000)
        assert value is not None
        assert set(value) <= {"▮", " ", "."}


def test_a_field_of_ten_megabytes_is_cut() -> None:
    assert kept(f"{EMAIL} " + "x" * 10_000_000) == ("▮ " + "x" * 80)[:80]


def test_a_direct_identifier_is_never_kept() -> None:
    assert kept(PHONE, PHONE_COLUMN) is None
