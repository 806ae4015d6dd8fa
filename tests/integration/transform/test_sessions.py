"""Sessions: where they begin and end, whose they are, and that late events and news of people reach them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from tiny_lake import Row, Shop, at, shop

TEN = at("2026-01-10 02:00")  # ten o'clock in Shanghai
LATER = at("2026-01-20 03:00")
States = dict[str, dict[str, Row]]


def event(event_id: str, visitor: str | None, minutes: float, **more: Any) -> Row:
    when = TEN + timedelta(minutes=minutes)
    return {"event_id": event_id, "event_name": "view", "channel": "mini_program",
            "openid": visitor, "occurred_at": when, "page": event_id, **more}  # fmt: skip


def member(version: int, openid: str | None) -> Row:
    when = LATER + timedelta(days=version)
    return {"member_id": "crm:1", "registered_at": TEN, "openid": openid, "updated_at": when,
            "_known_at": when}  # fmt: skip


EVENTS = [
    # A pause of half an hour to the second ends nothing; one of a second more does.
    event("edge1", "mini:edge", 0), event("edge2", "mini:edge", 30),
    event("edge3", "mini:edge", 60 + 1 / 60),
    # Two sessions, until what happened in between is known.
    event("gap1", "mini:gap", 0), event("gap2", "mini:gap", 55),
    # Another channel is another session, and what reached somebody is in none.
    event("other", "mini:gap", 1, channel="web"),
    event("got", "mini:gap", 20, event_name="message_received"),
    # Nobody's: it stays an interaction.
    event("none", None, 0),
    # A page left open for more than eight hours, one for just eight, and a script.
    *(event(f"open{n}", "mini:open", 29 * n) for n in range(18)),
    *(event(f"day{n}", "mini:day", 30 * n) for n in range(17)),
    *(event(f"script{n:03}", "mini:script", n / 60) for n in range(501)),
    # Two days in the life of somebody who was hired in between.
    event("before", "mini:staff", 0), event("after", "mini:staff", 48 * 60),
]  # fmt: skip


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> States:
    """Sessions by key: at first, after late news, made anew, and after the member is somebody else."""
    made = shop(tmp_path_factory.mktemp("sessions"), ("members", "interactions", "staff"))
    made.land("members", [member(0, None)])
    made.land("interactions", EVENTS)
    found = {"first": refreshed(made)}

    made.land("interactions", [event("late", "mini:gap", 27, _known_at=LATER)])
    made.land("members", [member(1, "mini:edge")], superseding=1)
    made.land("staff", [{"staff_id": "s1", "openid": "mini:staff", "hired_on": date(2026, 1, 11)}])
    found["late"] = refreshed(made)
    found["anew"] = refreshed(made, anew=True)

    made.land("members", [member(2, None)], superseding=1)
    found["parted"] = refreshed(made)
    return found


def refreshed(made: Shop, **variables: Any) -> dict[str, Row]:
    """Sessions by key, after a refresh of no more than they need."""
    made.register()
    made.make(
        "+stg_identifier", "+stg_identity_edge", "+stg_interactions", "stg_staff", **variables
    )
    made.identify()
    made.register()
    made.make(
        "customer_identifier", "staff_identifier", "fct_interaction", "fct_session", **variables
    )
    rows = made.rows("SELECT * FROM unified.fct_session")
    of_member = made.one(
        "SELECT customer_id FROM unified.customer_identifier WHERE identifier = 'crm:1'"
    )
    return {
        row["session_key"]: row | {"is_members": row["customer_id"] == of_member} for row in rows
    }


def test_a_pause_of_more_than_half_an_hour_ends_a_session(states: States) -> None:
    first, second = (states["first"][key] for key in ("edge1", "edge3"))
    assert (first["event_count"], first["duration_seconds"]) == (2, 1800)
    assert (first["entry_page"], first["exit_page"], first["is_bounce"]) == (
        "edge1",
        "edge2",
        False,
    )
    assert (second["event_count"], second["is_bounce"]) == (1, True)
    assert second["started_at"] == second["ended_at"] == at("2026-01-10 03:00:01")


def test_what_reached_somebody_and_what_nobody_did_is_in_no_session(
    states: States,
) -> None:
    assert {"got", "none"}.isdisjoint(states["first"])
    events = sum(row["event_count"] for row in states["first"].values())
    assert events == len(EVENTS) - 2


def test_each_channel_has_sessions_of_its_own(states: States) -> None:
    assert states["first"]["other"]["channel"] == "web"
    assert states["first"]["gap1"]["event_count"] == 1


@pytest.mark.parametrize(
    ("key", "runaway"), [("open0", True), ("day0", False), ("script000", True), ("edge1", False)]
)
def test_a_session_too_long_for_a_person_is_set_aside(
    states: States, key: str, runaway: bool
) -> None:
    assert states["first"][key]["is_runaway"] is runaway


def test_a_late_event_makes_one_session_of_two(states: States) -> None:
    assert {"gap1", "gap2"} <= states["first"].keys()
    joined = states["late"]["gap1"]
    assert "gap2" not in states["late"]
    assert "late" not in states["late"]
    assert (joined["event_count"], joined["duration_seconds"]) == (3, 55 * 60)


def test_what_came_late_gives_what_a_whole_build_gives(states: States) -> None:
    assert states["late"] == states["anew"]


def test_anonymous_history_joins_who_it_turns_out_to_be_and_leaves_again(
    states: States,
) -> None:
    told = {name: state["edge1"]["is_members"] for name, state in states.items()}
    assert told == {"first": False, "late": True, "anew": True, "parted": False}
    assert states["parted"]["edge1"]["customer_id"] == states["first"]["edge1"]["customer_id"]


def test_staff_are_flagged_for_the_days_of_their_employment(
    states: States,
) -> None:
    told = {name: (state["before"]["is_staff"], state["after"]["is_staff"])
            for name, state in states.items()}  # fmt: skip
    assert told["first"] == (False, False)
    assert told["late"] == told["anew"] == told["parted"] == (False, True)
