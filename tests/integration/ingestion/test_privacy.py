"""Direct identifiers: tokens in the lake, values in the vault, nothing anywhere else."""

import logging
from datetime import timedelta
from pathlib import Path

import pytest
from made_up_shop import MEMBERS, NOW, Shop, crm_csv, outcomes

from siyu.ingestion import LandingError, land_entity, landing, open_quarantine
from siyu.tombstones import IDENTIFIER, bury

PHONE, EMAIL, NAME, ADDRESS = "13926471580", "zhang.wei@shop.cn", "张伟明", "杭州市文三路 90 号"
CANARIES = (PHONE, EMAIL, NAME, "文三路", "1987-03-09")
WHOLE = f"1,{PHONE},{EMAIL},{NAME},1987-03-09,{ADDRESS},2026-06-01 08:00:00"


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_the_lake_holds_tokens_and_what_may_be_derived(members_shop: Shop) -> None:
    members_shop.write("crm/a.csv", crm_csv(WHOLE))
    members_shop.landed("members")
    ((phone, email, name, birth, year, month, address),) = members_shop.rows(
        "members", "phone_token, email_token, name_token, birth_date_token, birth_year, "
        "birth_month, address_token"
    )  # fmt: skip
    assert (year, month) == (1987, 3)
    vault = members_shop.vault
    assert vault.reveal(phone) == f"+86{PHONE}"
    assert (vault.reveal(email), vault.reveal(name)) == (EMAIL, NAME)
    assert (vault.reveal(birth), vault.reveal(address)) == ("1987-03-09", ADDRESS)


def test_equal_values_get_equal_tokens_however_written(members_shop: Shop) -> None:
    members_shop.write("crm/a.csv", crm_csv(
        f"1,{PHONE},,,,,2026-06-01", "2,+86 139-2647-1580,,,,,2026-06-01",
        "3,,,,,,2026-06-01", "4,  ,,,,,2026-06-01"))  # fmt: skip
    members_shop.landed("members")
    tokens = [row[0] for row in members_shop.rows("members", "phone_token")]
    assert len(set(tokens) - {None}) == 1
    assert tokens.count(None) == 2


def test_no_direct_value_is_left_in_the_lake_or_the_quarantine(members_shop: Shop) -> None:
    members_shop.write("crm/a.csv", crm_csv(
        WHOLE,
        WHOLE.replace("1,", "null,", 1),           # no member: quarantined whole
        WHOLE.replace("1987-03-09", "9 March 87"),  # a birth date that is none
        f"{WHOLE},{PHONE}",                         # malformed
        f"{PHONE} {EMAIL},{WHOLE}"[:-20],           # shifted by a column
    ))  # fmt: skip
    manifest = members_shop.landed("members")
    assert manifest.quarantined >= 3
    for place in (members_shop.paths.lake, members_shop.paths.quarantine, members_shop.paths.vault):
        held = place.read_bytes() if place.is_file() else bytes_below(place)
        for canary in CANARIES:
            assert canary.encode() not in held, (place, canary)


def test_an_authorised_person_can_open_the_quarantine(members_shop: Shop) -> None:
    members_shop.write("crm/a.csv", crm_csv(WHOLE.replace("1,", "null,", 1), f"{WHOLE},surplus"))
    manifest = members_shop.landed("members")
    rows = open_quarantine(members_shop.settings, manifest.batch_id)
    assert rows[0]["payload"]["phone"] == PHONE
    assert rows[1]["payload"] == f"{WHOLE},surplus"
    assert open_quarantine(members_shop.settings, "no such batch") == []


def test_errors_and_logs_never_quote_a_value(
    members_shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    members_shop.write("crm/a.csv", crm_csv(WHOLE))
    for column in ("phone", "name", "address", "email"):
        members_shop.mapping(
            "members", MEMBERS.replace(f"{column},", f"CAST({column} AS INTEGER) AS {column},", 1)
        )
        with pytest.raises(LandingError) as caught:
            members_shop.land("members")
        said = f"{caught.value!r} {caught.value} {caplog.text}"
        assert not [canary for canary in CANARIES if canary in said]


def test_typed_text_is_masked(shop: Shop) -> None:
    shop.input("reviews", format="csv", location="reviews.csv")
    shop.mapping("feedback", "SELECT id AS feedback_id, said AS text, "
                             "local_to_utc('2026-06-01') AS submitted_at, _file, _row FROM reviews")  # fmt: skip
    shop.write("reviews.csv", f"id,said\n1,打我电话{PHONE}或 {EMAIL} 谢谢 5 星\n")
    shop.landed("feedback")
    assert shop.rows("feedback", "text") == [("打我电话▮或 ▮ 谢谢 5 星",)]


def test_erased_people_are_suppressed_and_leave_nothing(members_shop: Shop) -> None:
    bury(members_shop.paths, "request", {IDENTIFIER: ["crm:1", "crm:9"]}, NOW)
    bad = WHOLE.replace("1987-03-09", "none").replace("1,", "9,", 1)
    members_shop.write("crm/a.csv", crm_csv(WHOLE, bad, "2,13812340000,,,,,2026-06-01"))
    manifest = members_shop.landed("members")
    assert outcomes(manifest) == {"rows_in": 3, "accepted": 1, "suppressed": 2}
    assert members_shop.rows("members", "member_id") == [("crm:2",)]
    token = members_shop.vault.tokenise("phone", [PHONE], "CN")[0].token
    assert members_shop.vault.reveal(token) is None


def test_erasure_reaches_people_known_by_token_only(members_shop: Shop) -> None:
    token = members_shop.vault.tokenise("phone", [PHONE], "CN")[0].token
    bury(members_shop.paths, "request", {IDENTIFIER: [token]}, NOW)
    members_shop.write("crm/a.csv", crm_csv(WHOLE))
    assert outcomes(members_shop.landed("members")) == {"rows_in": 1, "suppressed": 1}


def test_a_replay_adds_nothing_to_the_vault(members_shop: Shop) -> None:
    members_shop.write("crm/a.csv", crm_csv(WHOLE))
    members_shop.landed("members")
    before = members_shop.paths.vault.read_bytes()
    members_shop.mapping("members", MEMBERS.replace("phone,", "phone AS phone,"))
    land_entity(
        members_shop.settings, members_shop.retailer, "members", "again", NOW + timedelta(1)
    )
    assert members_shop.paths.vault.read_bytes() == before


def test_what_spills_to_disk_is_encrypted_and_removed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "_MEMORY", "100MB")
    spill = shop.paths.scratch
    with landing.scratch(shop.paths) as connection:
        connection.execute(
            f"CREATE TABLE landing_rows AS SELECT '{PHONE} of row number ' || range AS said "
            "FROM range(4_000_000)"
        )
        spilled = bytes_below(spill)
        assert spilled
        assert PHONE.encode() not in spilled
    assert bytes_below(spill) == b""
