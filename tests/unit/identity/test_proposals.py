"""Which members are compared, what is proposed of them, and what becomes an edge."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest

from siyu.identity import proposals
from siyu.identity.probabilistic import PAIR_SCHEMA
from siyu.identity.proposals import PROPOSAL_SCHEMA, linked_edges, propose
from siyu.retailer import ProbabilisticLinks, RetailerError, read_retailer

DAY = datetime.fromisoformat("2026-01-05")
LATER = datetime.fromisoformat("2026-01-09")
VALUES = {"name:1": "王小明", "birth_date:1": "1990-05-01", "birth_date:0": "1900-01-01"}
EDGE_SCHEMA = pa.schema(
    [
        ("identifier_a", pa.string()), ("identifier_b", pa.string()), ("rule_id", pa.string()),
        ("priority", pa.int64()), ("evidence_count", pa.int64()),
        ("first_seen_at", pa.timestamp("us")), ("last_seen_at", pa.timestamp("us")),
        ("known_at", pa.timestamp("us")),
    ]
)  # fmt: skip


def member(member_id: str, known_at: datetime = DAY, **tokens: str) -> dict[str, object]:
    empty = dict.fromkeys(("name_token", "birth_date_token", "address_token"))
    return {"member_id": member_id, **empty, "_known_at": known_at, **tokens}


FULL = {"name_token": "name:1", "birth_date_token": "birth_date:1"}
MEMBERS = [member("crm:1", **FULL), member("shop:1", LATER, **FULL), member("shop:2", **FULL)]


def edges(*pairs: tuple[str, str]) -> pa.Table:
    return pa.Table.from_pylist(
        [{"identifier_a": a, "identifier_b": b, "rule_id": "some_rule"} for a, b in pairs],
        EDGE_SCHEMA,
    )


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[pa.Table]:
    """What is compared; every two records that are turn out alike, the later the less."""
    seen: list[pa.Table] = []

    def likely(records: pa.Table, _: float) -> pa.Table:
        seen.append(records)
        ids = sorted(records["record_id"].to_pylist())
        pairs = [(a, b) for place, a in enumerate(ids) for b in ids[place + 1 :]]
        return pa.Table.from_pylist(
            [
                {"identifier_a": a, "identifier_b": b, "probability": 0.99 - place / 100}
                for place, (a, b) in enumerate(pairs)
            ],
            PAIR_SCHEMA,
        )

    monkeypatch.setattr(proposals, "likely_pairs", likely)
    return seen


def proposed(
    members: list[dict[str, object]], found: pa.Table, settings: ProbabilisticLinks | None = None
) -> list[dict[str, object]]:
    def reveal(tokens: Collection[str]) -> Mapping[str, str]:
        return {token: VALUES[token] for token in tokens if token in VALUES}

    table = propose(
        pa.Table.from_pylist(members), found, reveal, {"birth_date:0"},
        settings or ProbabilisticLinks(),
    )  # fmt: skip
    assert table.schema == PROPOSAL_SCHEMA
    rows: list[dict[str, object]] = table.to_pylist()
    return rows


def test_a_proposal_names_members_and_a_probability_and_no_values(compared: list[pa.Table]) -> None:
    (row,) = proposed(MEMBERS[:2], edges())

    assert row == {"identifier_a": "crm:1", "identifier_b": "shop:1", "probability": 0.99,
                   "is_linked": False, "known_at": LATER}  # fmt: skip
    assert compared[0].to_pylist()[0] == {
        "record_id": "crm:1", "name": "王小明", "birth_date": "1990-05-01", "address": None,
    }  # fmt: skip


def test_members_who_share_an_identifier_are_no_proposal(compared: list[pa.Table]) -> None:
    found = proposed(MEMBERS, edges(("crm:1", "phone:a"), ("phone:a", "shop:2")))

    assert {(row["identifier_a"], row["identifier_b"]) for row in found} == {
        ("crm:1", "shop:1"), ("shop:1", "shop:2"),
    }  # fmt: skip


def test_who_has_nothing_but_a_name_is_not_compared_and_junk_says_nothing(
    compared: list[pa.Table],
) -> None:
    nobody = proposed(
        [
            member("crm:1", name_token="name:1"),
            member("crm:2", birth_date_token="birth_date:1"),
            member("crm:3", name_token="name:1", birth_date_token="birth_date:0"),
            member("crm:4", name_token="name:erased", address_token="address:erased"),
        ],
        edges(),
    )

    assert (nobody, compared) == ([], [])


def test_only_what_the_retailer_allows_becomes_an_edge_and_below_all_others(
    compared: list[pa.Table],
) -> None:
    allowed = ProbabilisticLinks(propose_above=0.9, link_above=0.985)
    rows = proposed(MEMBERS, edges(), allowed)

    assert [row["is_linked"] for row in rows] == [True, False, False]
    (edge,) = linked_edges(pa.Table.from_pylist(rows, PROPOSAL_SCHEMA), EDGE_SCHEMA).to_pylist()
    assert edge == {
        "identifier_a": "crm:1", "identifier_b": "shop:1", "rule_id": "alike", "priority": 5,
        "evidence_count": 1, "first_seen_at": LATER, "last_seen_at": LATER, "known_at": LATER,
    }  # fmt: skip


def test_nothing_is_linked_below_what_is_proposed(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    said = (Path(__file__).parents[3] / "retailers" / "demo" / "retailer.yaml").read_text("utf-8")
    links = "probabilistic_links: {propose_above: 0.95, link_above: 0.9}\n"
    (folder / "retailer.yaml").write_text(said + links, "utf-8")

    with pytest.raises(RetailerError, match="link_above is below propose_above"):
        read_retailer(folder)
