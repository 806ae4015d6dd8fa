"""What was so of a customer at a moment, and what of that was known then."""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pytest
from changing_shop import DRAWN_CUSTOMERS, MAPPED, day, member, rows_of_drawn
from history_oracle import NOTHING, read_versions
from tiny_lake import Shop, shop

from siyu.config import REPO
from siyu.transform import run_dbt
from siyu.warehouse import Warehouse

MACRO = REPO / "dbt_project" / "macros" / "analytics" / "point_in_time.sql"


def timeline(changing: Shop, who: str, *columns: str) -> list[tuple[Any, ...]]:
    """A customer's values as they are known now: the day from which, and what."""
    rows = changing.rows(
        f"SELECT day(valid_from), {', '.join(columns)} FROM unified.dim_customer_history "
        "JOIN unified.customer_identifier USING (customer_id) "
        f"WHERE identifier = '{who}' AND recorded_to IS NULL ORDER BY valid_from"
    )
    values = [tuple(row.values()) for row in rows]
    return [
        row for before, row in zip([(), *values], values, strict=False) if row[1:] != before[1:]
    ]


def lookups(changing: Shop, *columns: str) -> dict[tuple[str, int, int], list[tuple[Any, ...]]]:
    """What the documented macro finds of each member on each day, by what was known on each day."""
    template = jinja2.Template(
        MACRO.read_text("utf-8").split("{#-\n  Several as-of dates")[0]
        + "{{ point_in_time('asked.moment', 'history', known_by='asked.known_by') }}"
    )
    rows = changing.rows(
        "WITH days AS (SELECT TIMESTAMP '2026-01-01' + to_days(n::INTEGER) AS day FROM range(28) AS r(n)), "
        "asked AS (SELECT m.day AS moment, k.day AS known_by FROM days AS m CROSS JOIN days AS k) "
        f"SELECT identifier, day(asked.moment), day(asked.known_by), {', '.join(columns)} "
        "FROM asked JOIN unified.dim_customer_history AS history ON " + template.render()
        + " JOIN unified.customer_identifier USING (customer_id) WHERE namespace = 'crm'"
    )  # fmt: skip
    found: defaultdict[tuple[str, int, int], list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        who, moment, known_by, *values = row.values()
        found[who, moment, known_by].append(tuple(values))
    return found


def test_a_correction_that_comes_late_is_in_its_place_but_not_known_before_it_came(
    changing: Shop,
) -> None:
    assert timeline(changing, "crm:late", "tier") == [(5, "silver"), (10, "bronze"), (20, "gold")]

    found = lookups(changing, "tier")
    assert found["crm:late", 15, 15] == [("silver",)]
    assert found["crm:late", 15, 25] == [("silver",)]  # the end of the day before
    assert found["crm:late", 15, 26] == [("bronze",)]
    assert found["crm:late", 24, 24] == [("gold",)]


@pytest.mark.parametrize("customer", range(DRAWN_CUSTOMERS))
def test_a_look_up_says_what_reading_all_versions_says(
    everything: Mapping[Any, list[tuple[Any, ...]]], customer: int
) -> None:
    rows = rows_of_drawn(customer)

    for moment in range(1, 29):
        for known_by in range(1, 29):
            found = everything[f"crm:d{2 * customer}", moment, known_by]
            expected = read_versions(rows, day(moment), day(known_by))
            assert len(found) <= 1
            assert (found or [NOTHING])[0] == expected, (moment, known_by)


@pytest.fixture(scope="module")
def everything(changing: Shop) -> Mapping[Any, list[tuple[Any, ...]]]:
    """Every look-up of every member."""
    return lookups(changing, "tier", "status", "owner_staff_id", "marketing_consent")


def test_versions_that_change_nothing_make_no_rows(changing: Shop) -> None:
    assert timeline(changing, "crm:daily", "tier", "is_current") == [(5, "silver", True)]


def test_a_change_without_a_time_is_dated_when_it_became_known(changing: Shop) -> None:
    assert timeline(changing, "crm:undated", "tier") == [(7, "silver")]


def test_the_membership_that_speaks_for_a_customer_changes_with_them(changing: Shop) -> None:
    found = timeline(changing, "crm:one", "tier", "status")

    assert found == [(5, "gold", "active"), (15, "silver", "active")]
    assert timeline(changing, "crm:two", "tier", "status") == found


def test_the_owner_is_the_staff_added_last_of_those_who_remain(changing: Shop) -> None:
    found = {row[0]: row[1] for row in timeline(changing, "wecom:owned", "owner_staff_id")}

    assert (found[5], found[10], found[20]) == ("s1", "s2", "s1")


def test_consent_is_the_most_restrictive_and_ends_when_it_expires(changing: Shop) -> None:
    found = timeline(changing, "wecom:owned", "marketing_consent")

    assert found == [(5, "granted"), (10, "denied"), (15, "granted"), (25, "expired")]
    # That of a year hence has not expired yet, and data use is another purpose.
    assert timeline(changing, "crm:one", "marketing_consent", "is_current")[-1] == (
        1,
        "expired",
        False,
    )
    assert timeline(changing, "crm:one", "marketing_consent", "is_current")[-2] == (
        15,
        "granted",
        True,
    )
    assert timeline(changing, "crm:late", "marketing_consent")[0] == (5, "unknown")


def test_a_consent_that_runs_out_makes_another_row_the_present_one(changing: Shop) -> None:
    def present() -> list[tuple[Any, ...]]:
        return [
            row
            for row in timeline(changing, "crm:one", "marketing_consent", "is_current")
            if row[2]
        ]

    assert present() == [(15, "granted", True)]

    changing.make("dim_customer_history", as_of_date="2027-01-01", as_of="2027-01-02 00:00:00")
    assert present() == [(1, "expired", True)]

    changing.make("dim_customer_history")
    assert present() == [(15, "granted", True)]


def test_a_correction_takes_back_a_grant_but_no_refusal(changing: Shop) -> None:
    assert timeline(changing, "crm:undated", "marketing_consent") == [
        (7, "unknown"),
        (10, "denied"),
    ]
    assert timeline(changing, "crm:back", "marketing_consent")[-1] == (10, "withdrawn")
    found = lookups(changing, "marketing_consent")["crm:back", 20, 20]
    assert found == [("granted",)]


def test_the_example_in_the_docs_gives_what_they_say(changing: Shop) -> None:
    page = (REPO / "docs" / "point-in-time.md").read_text("utf-8")
    (query,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    (table,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)

    found = [" | ".join(str(value) for value in row.values()) for row in changing.rows(query)]

    assert found == table.strip().splitlines()[1:]


def history(changing: Shop) -> list[tuple[Any, ...]]:
    rows = changing.rows(
        "SELECT (SELECT min(identifier) FROM unified.customer_identifier AS i "
        "WHERE i.customer_id = h.customer_id) AS who, * EXCLUDE (customer_id) "
        "FROM unified.dim_customer_history AS h ORDER BY ALL"
    )
    return [tuple(row.values()) for row in rows]


def _update(changing: Shop, *models: str) -> None:
    """Take in what landed, as far as history needs it."""
    changing.register()
    changing.make("+stg_identity_edge", "+stg_identifier")
    changing.identify()
    changing.register()
    changing.make(*models)


def test_a_merge_joins_histories_and_an_unmerge_parts_them(changing: Shop) -> None:
    models = ("customer_identifier", "dim_customer_history")
    before = history(changing)
    changing.land(
        "members",
        [
            member("late", 26, tier="gold", city="Suzhou", phone_token="phone:d"),
            member("daily", 26, tier="silver", phone_token="phone:d"),
        ],
        superseding=2,
    )
    _update(changing, *models)

    # Both registered at once: the lower member id speaks for both.
    assert timeline(changing, "crm:late", "tier") == [(5, "silver")]
    assert timeline(changing, "crm:daily", "tier") == [(5, "silver")]

    changing.land("members", [member("daily", 27, tier="silver")], superseding=1)
    _update(changing, *models)

    assert history(changing) == before
    assert timeline(changing, "crm:late", "tier") == [(5, "silver"), (10, "bronze"), (20, "gold")]


def test_gates_stop_a_history_with_holes_overlaps_or_another_present(
    changing: Shop, tmp_path: Path
) -> None:
    copy = shop(tmp_path, MAPPED)
    copy.paths.warehouse.parent.mkdir(parents=True)
    shutil.copyfile(changing.paths.warehouse, copy.paths.warehouse)
    rows = """
        ('empty', 1, NULL, 1, 1, false), ('overlap', 1, NULL, 1, NULL, true),
        ('overlap', 5, NULL, 1, NULL, false), ('gap', 1, 5, 1, NULL, true),
        ('twice', 1, NULL, 1, 5, false), ('twice', 1, NULL, 1, 5, false),
        ('no present', 1, NULL, 1, NULL, false),
        ('good', 1, NULL, 1, 5, false), ('good', 1, 3, 5, NULL, false), ('good', 3, NULL, 5, NULL, true)
    """
    with Warehouse.of(copy.settings).connect(read_only=False) as connection:
        connection.execute("DELETE FROM unified.dim_customer_history")
        connection.execute(
            "INSERT INTO unified.dim_customer_history (customer_id, valid_from, valid_to, "
            "recorded_from, recorded_to, is_current, marketing_consent) "
            "SELECT customer_id, make_timestamp(2026, 1, v, 0, 0, 0), make_timestamp(2026, 1, w, 0, 0, 0), "
            "make_timestamp(2026, 1, r, 0, 0, 0), make_timestamp(2026, 1, s, 0, 0, 0), is_current, "
            f"'unknown' FROM (VALUES {rows}) AS made(customer_id, v, w, r, s, is_current)"
        )

    run = run_dbt(
        copy.settings,
        ["test", "--select", "dim_customer", "dim_customer_history"],
        copy.variables(),
    )

    failed = {result.name: result for result in run.tests if result.status == "fail"}
    (bitemporal,) = [result for name, result in failed.items() if name.startswith("bitemporal")]
    faults = {key.split(",")[0].removeprefix("customer_id=") for key in bitemporal.example_keys}
    assert faults == {"empty", "overlap", "gap", "twice", "no present"}
    assert any(name.startswith("unified_dim_customer_history_agrees") for name in failed)
