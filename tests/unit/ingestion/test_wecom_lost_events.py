"""How many events got lost, from what polls saw and what callbacks said."""

from datetime import date, datetime, timedelta

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from siyu.ingestion.connectors.callbacks import lost_events

ADD = "add_external_contact"
NOON = datetime.fromisoformat("2026-06-01T04:00")  # in UTC
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def contacts(*rows: tuple[str, datetime]) -> pa.Table:
    return pa.table(
        {
            "external_userid": pa.array([name for name, _ in rows], pa.string()),
            "staff_id": pa.array(["anna"] * len(rows), pa.string()),
            "added_at": pa.array([at for _, at in rows], pa.timestamp("us")),
        }
    )


def events(*rows: tuple[str, str, datetime]) -> pa.Table:
    return pa.table(
        {
            "external_userid": pa.array([name for name, _, _ in rows], pa.string()),
            "staff_id": pa.array(["anna"] * len(rows), pa.string()),
            "change_type": pa.array([kind for _, kind, _ in rows], pa.string()),
            "occurred_at": pa.array([at for _, _, at in rows], pa.timestamp("us")),
        }
    )


def test_an_add_without_a_callback_is_lost() -> None:
    polled = contacts(("a", NOON), ("b", NOON + HOUR), ("c", NOON + 2 * HOUR), ("d", NOON + DAY))
    received = events(
        ("a", ADD, NOON),
        ("a", ADD, NOON),  # sent twice
        ("b", "add_half_external_contact", NOON + HOUR + timedelta(seconds=2)),
        ("c", "edit_external_contact", NOON + 2 * HOUR),  # no add
        ("d", ADD, NOON + DAY),
    )
    assert lost_events(polled, received, "Asia/Shanghai").to_pylist() == [
        {"day": date(2026, 6, 1), "adds": 3, "lost": 1, "lost_event_rate": 1 / 3},
        {"day": date(2026, 6, 2), "adds": 1, "lost": 0, "lost_event_rate": 0.0},
    ]


def test_only_the_span_in_which_callbacks_came_counts() -> None:
    polled = contacts(("before", NOON - HOUR), ("in", NOON + HOUR), ("after", NOON + 3 * HOUR))
    received = events(("x", "del_follow_user", NOON), ("y", "never_heard_of", NOON + 2 * HOUR))
    (day,) = lost_events(polled, received, "Asia/Shanghai").to_pylist()
    assert (day["adds"], day["lost"]) == (1, 1)


def test_a_contact_added_again_needs_a_callback_of_its_own() -> None:
    polled = contacts(("a", NOON + 2 * DAY))
    received = events(("a", ADD, NOON), ("z", ADD, NOON + 3 * DAY))
    (day,) = lost_events(polled, received, "Asia/Shanghai").to_pylist()
    assert (day["adds"], day["lost"]) == (1, 1)


def test_days_are_the_retailers() -> None:
    late = datetime.fromisoformat("2026-06-01T17:00")  # one in the morning in Shanghai
    polled, received = contacts(("a", late)), events(("a", ADD, late))
    (day,) = lost_events(polled, received, "Asia/Shanghai").to_pylist()
    assert day["day"] == date(2026, 6, 2)


def test_without_callbacks_nothing_is_said() -> None:
    assert lost_events(contacts(("a", NOON)), events(), "Asia/Shanghai").num_rows == 0


@settings(max_examples=25)
@given(
    delivered=st.lists(st.booleans(), min_size=1, max_size=40),
    repeats=st.integers(min_value=1, max_value=3),
)
def test_the_rate_is_the_share_that_was_not_delivered(delivered: list[bool], repeats: int) -> None:
    at = [NOON + timedelta(minutes=number) for number in range(len(delivered))]
    polled = contacts(*((str(number), moment) for number, moment in enumerate(at)))
    rows = [(str(number), ADD, at[number]) for number, came in enumerate(delivered) if came]
    edges = [("x", "edit", NOON - HOUR), ("x", "edit", NOON + 2 * HOUR)]
    (day,) = lost_events(polled, events(*rows * repeats, *edges), "Asia/Shanghai").to_pylist()
    assert day["adds"] == len(delivered)
    assert day["lost"] == delivered.count(False)
