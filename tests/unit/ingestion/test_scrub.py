"""Masking of phones and e-mails in typed text."""

import duckdb
import pytest

from siyu.ingestion.scrub import scrubbed


@pytest.mark.parametrize(("said", "kept"), [
    ("电话13926471580谢谢", "电话▮谢谢"),
    ("139 2647 1580", "▮"),
    ("+44 20 7946 0958 now", "▮ now"),
    ("座机0571-88886666", "座机▮"),
    ("call (212) 555-0187", "call ▮"),
    ("wang.li+x@mail.example.cn!", "▮!"),
    ("１３９２６４７１５８０", "▮"),
    ("id 330106198703091234", "id ▮"),
    ("5 stars, 2026-06-30, size 42, 199.90", "5 stars, 2026-06-30, size 42, 199.90"),
    ("", ""),
])  # fmt: skip
def test_phones_and_mails_are_masked_and_the_rest_stays(said: str, kept: str) -> None:
    row = duckdb.execute(f"SELECT {scrubbed('$1')}", [said]).fetchone()
    assert row == (kept,)
