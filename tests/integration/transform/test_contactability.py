"""Who may be contacted: the rule on worlds made up by hand and by Hypothesis, and in a refresh."""

from __future__ import annotations

import os
import shutil
from datetime import date, timedelta
from pathlib import Path
from random import Random

import pytest
from consent_world import (
    NOW,
    Contact,
    Rule,
    Said,
    World,
    day,
    made_up_holders,
    made_up_statements,
    may_contact,
)
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tiny_lake import AS_OF, Row, Shop, at, shop
from typer.testing import CliRunner

from siyu import cli
from siyu.serving import contactability
from siyu.transform import dbt_vars, end_of_day, run_dbt
from siyu.warehouse import Warehouse

EXAMPLES = int(os.environ.get("SIYU_EXAMPLES", "15"))
ME = {"crm:1": "me", "phone:a": "me", "wecom:a": "me"}
MORNING = day(-0.4)  # of the day after the as-of day
YES, NO = "granted", "denied"


@pytest.fixture(scope="module")
def rule(refreshed: Shop) -> Rule:
    return Rule(refreshed)


# --- the rule, case by case --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        # What is not known is no.
        ([Said("crm:2", YES, day(9))], "never_asked"),
        ([Said("crm:1", YES, day(9))], "granted"),
        ([Said("crm:1", YES, day(9), channel="all")], "granted"),
        ([Said("crm:1", NO, day(9))], "denied"),
        # The last word of an identifier counts, whether on the channel or on all of them.
        ([Said("crm:1", NO, day(9)), Said("crm:1", YES, day(8))], "granted"),
        ([Said("crm:1", YES, day(9)), Said("crm:1", "withdrawn", day(8), "all")], "withdrawn"),
        # A late arrival is put where it belongs.
        ([Said("crm:1", YES, day(5)), Said("crm:1", NO, day(9), known_at=day(1))], "granted"),
        # At one instant no is stronger.
        ([Said("crm:1", YES, day(9)), Said("crm:1", NO, day(9))], "denied"),
        # Between identifiers the most restrictive is, though it is older.
        ([Said("crm:1", NO, day(9)), Said("phone:a", YES, day(2))], "denied"),
        ([Said("crm:1", YES, day(9), expires_at=day(1)), Said("phone:a", YES, day(2))], "expired"),
        # A grant counts from when it takes effect until it ends.
        ([Said("crm:1", YES, MORNING)], "never_asked"),
        ([Said("crm:1", YES, day(9), expires_at=day(0))], "expired"),
        ([Said("crm:1", YES, day(9), expires_at=MORNING)], "granted"),
        ([Said("crm:1", "expired", day(9))], "expired"),
        # This morning's no holds at once, and this morning's yes does not yet lift it.
        ([Said("crm:1", YES, day(9)), Said("crm:1", "withdrawn", MORNING)], "withdrawn"),
        ([Said("crm:1", NO, day(9)), Said("crm:1", YES, MORNING)], "denied"),
        ([Said("crm:1", YES, day(9)), Said("crm:1", NO, day(-90), known_at=day(1))], "denied"),
        # Use of data is another question: no there forbids marketing, yes allows nothing.
        ([Said("crm:1", YES, day(9), "all", "data_use"), Said("crm:2", YES, day(9))], "never_asked"),
        (
            [Said("crm:1", YES, day(9)), Said("phone:a", "withdrawn", day(8), "all", "data_use")],
            "data_use_denied",
        ),
        ([Said("crm:1", YES, day(9)), Said("crm:1", NO, day(8), "all", "profiling")], "granted"),
        # A purpose or channel of its own says nothing of this one.
        ([Said("crm:1", YES, day(9)), Said("crm:1", NO, day(8), purpose="service")], "granted"),
        ([Said("crm:1", YES, day(9)), Said("crm:1", NO, day(8), channel="email")], "granted"),
        # That a correction calls a no a yes does not lift it; a later yes does.
        (
            [Said("crm:1", NO, day(9), consent_id="n"),
             Said("crm:1", YES, day(9), known_at=day(3), consent_id="n")],
            "denied",
        ),
        (
            [Said("crm:1", YES, day(9), consent_id="n"),
             Said("crm:1", NO, day(9), known_at=day(3), consent_id="n")],
            "denied",
        ),
        ([Said("crm:1", YES, day(9)), Said("junk:1", NO, day(8))], "granted"),
    ],
)  # fmt: skip
def test_what_was_said_decides_who_may_be_contacted(
    rule: Rule, said: list[Said], reason: str
) -> None:
    world = World({**ME, "crm:2": "other", "junk:1": None}, said)

    found = rule.now(world)["me", "sms", "marketing"]

    assert (found["reason"], found["is_contactable"]) == (reason, reason == "granted")


def test_the_statement_that_decided_is_named(rule: Rule) -> None:
    until = day(-20)
    said = [
        Said("crm:1", YES, day(9), consent_id="n1"),
        Said("phone:a", YES, day(8), expires_at=until, consent_id="n2"),
    ]

    found = rule.now(World(ME, said))["me", "sms", "marketing"]

    expected = {"consent_id": "n2", "version_no": 1, "identifier": "phone:a",
                "effective_at": day(8), "expires_at": until}  # fmt: skip
    assert {name: found[name] for name in expected} == expected


def test_a_channel_needs_an_address(rule: Rule) -> None:
    held = {"crm:1": "me", "email:a": "me", "mini:a": "other", "crm:2": "other"}
    said = [Said(name, YES, day(9), channel="all") for name in ("crm:1", "crm:2")]

    found = {
        (customer, channel): row["reason"]
        for (customer, channel, _), row in rule.now(World(held, said)).items()
    }

    reachable = {("me", "email"), ("other", "mini_program")}
    assert {key for key, reason in found.items() if reason == "granted"} == reachable
    assert found["me", "sms"] == found["me", "phone"] == "channel_unreachable"
    assert found["me", "wecom"] == "not_a_friend"


def test_everybody_has_a_row_for_all_that_anybody_was_asked_about(rule: Rule) -> None:
    world = World({**ME, "crm:2": "other"}, [Said("crm:9", NO, day(9), "email", "service")])

    assert {key: row["reason"] for key, row in rule.now(world).items()} == {
        ("me", "email", "service"): "never_asked",
        ("other", "email", "service"): "never_asked",
    }


GRANTED = Said("wecom:a", YES, day(50), channel="wecom")


@pytest.mark.parametrize(
    ("contacts", "reason"),
    [
        ([], "not_a_friend"),
        ([Contact("wecom:a", "s1", day(9))], "granted"),
        ([Contact("wecom:a", "s1", day(9), day(2), "customer")], "deleted_by_customer"),
        ([Contact("wecom:a", "s1", day(9), day(2), "staff")], "not_a_friend"),
        # Deleted this morning: at once. Added this morning: from tomorrow's refresh on.
        ([Contact("wecom:a", "s1", day(9), MORNING, "customer")], "deleted_by_customer"),
        ([Contact("wecom:a", "s1", MORNING)], "not_a_friend"),
        # Handed over to a colleague, who is a friend still.
        (
            [Contact("wecom:a", "s1", day(9), day(2), "staff"), Contact("wecom:a", "s2", day(2))],
            "granted",
        ),
        (
            [Contact("wecom:a", "s1", day(9), day(2), "customer"),
             Contact("wecom:a", "s2", day(8), day(1), "staff")],
            "deleted_by_customer",
        ),
        # Added again, to the same member of staff.
        (
            [Contact("wecom:a", "s1", day(9), day(5), "customer"), Contact("wecom:a", "s1", day(1))],
            "granted",
        ),
    ],
)  # fmt: skip
def test_who_is_no_friend_on_wecom_is_not_contactable_there(
    rule: Rule, contacts: list[Contact], reason: str
) -> None:
    assert rule.now(World(ME, [GRANTED], contacts))["me", "wecom", "marketing"]["reason"] == reason


def test_who_is_added_again_is_contactable_only_if_consent_still_allows(rule: Rule) -> None:
    contacts = [
        Contact("wecom:a", "s1", day(9), day(5), "customer"),
        Contact("wecom:a", "s1", day(1)),
    ]
    refused = Said("crm:1", "withdrawn", day(5), channel="all")

    found = rule.now(World(ME, [GRANTED, refused], contacts))["me", "wecom", "marketing"]

    assert found["reason"] == "withdrawn"


def test_a_refusal_joins_the_customer_with_its_identifier_and_leaves_with_it(rule: Rule) -> None:
    said = [Said("crm:1", YES, day(9)), Said("crm:2", NO, day(20))]
    apart = World({"crm:1": "a", "phone:a": "a", "crm:2": "b", "phone:b": "b"}, said)
    merged = World(dict.fromkeys(apart.held, "a"), said)

    def reasons(world: World) -> dict[str, str]:
        return {who: row["reason"] for (who, *_), row in rule.now(world).items()}

    assert reasons(apart) == {"a": "granted", "b": "denied"}
    assert reasons(merged) == {"a": "denied"}
    assert reasons(apart) == {"a": "granted", "b": "denied"}


# --- as of a day, as known on a day ------------------------------------------------------------


def local(number: int) -> date:
    return AS_OF - timedelta(days=number)


def test_a_corrected_statement_does_not_rewrite_what_was_known(rule: Rule) -> None:
    granted = Said("crm:1", YES, day(20.5), consent_id="n")
    corrected = Said("crm:1", NO, day(20.5), known_at=day(10.5), consent_id="n")
    world = World(ME, [granted, corrected])

    def reason(as_of: int, known: int) -> str:
        return str(
            rule.as_of(world, local(as_of), local(known))["me", "sms", "marketing"]["reason"]
        )

    assert reason(21, 21) == "never_asked"
    assert reason(15, 15) == "granted"
    assert reason(15, 0) == "denied"
    assert reason(0, 15) == "granted"
    assert reason(0, 0) == "denied"


@pytest.mark.parametrize(
    ("as_of", "known", "reason"),
    [
        (15, 15, "granted"),
        # The withdrawal of ten days ago arrived two days ago.
        (5, 5, "granted"),
        (5, 0, "withdrawn"),
        (15, 0, "granted"),
        (1, 1, "withdrawn"),
        # It was still to expire.
        (0, 5, "expired"),
    ],
)
def test_the_answer_is_that_of_the_day_by_what_was_known(
    rule: Rule, as_of: int, known: int, reason: str
) -> None:
    said = [
        Said("crm:1", YES, day(30), expires_at=day(2.5)),
        Said("crm:1", "withdrawn", day(10.5), known_at=day(2.5)),
    ]
    found = rule.as_of(World(ME, said), local(as_of), local(known))
    assert found["me", "sms", "marketing"]["reason"] == reason


def test_a_friendship_counts_as_it_was_known(rule: Rule) -> None:
    contacts = [
        Contact("wecom:a", "s1", day(30)),
        Contact("wecom:a", "s1", day(30), day(10.5), "customer", known_at=day(5.5)),
    ]
    world = World(ME, [GRANTED], contacts)

    def reason(as_of: int, known: int) -> str:
        return str(
            rule.as_of(world, local(as_of), local(known))["me", "wecom", "marketing"]["reason"]
        )

    assert reason(40, 40) == "not_a_friend"
    assert reason(8, 8) == "granted"
    assert reason(8, 0) == "deleted_by_customer"
    assert reason(20, 0) == "granted"


# --- whatever is said, in whatever order it arrives --------------------------------------------


# Shrinking would ask the rule thousands of times; the seed says it all.
@settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
    phases=[Phase.generate], suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(seed=st.integers(0, 10**6))
def test_no_one_is_contacted_against_the_last_word_of_any_of_their_identifiers(
    rule: Rule, seed: int
) -> None:
    """Statements arrive in three parts, while customers merge and split."""
    random = Random(seed)
    said = made_up_statements(random)
    for part in (1, 2, 3):
        world = World(made_up_holders(random), said[: len(said) * part // 3])
        for (customer, channel, purpose), row in rule.now(world).items():
            if (channel, purpose) == ("sms", "marketing"):
                assert row["is_contactable"] == may_contact(world, customer, NOW), seed
            if row["is_contactable"]:
                assert_every_refusal_was_lifted(world, customer, channel, purpose)

    as_of, known = (local(random.randint(-1, 6)) for _ in range(2))
    moments = [end_of_day(number, "Asia/Shanghai") for number in (as_of, known)]
    for (customer, channel, purpose), row in rule.as_of(world, as_of, known).items():
        if (channel, purpose) == ("sms", "marketing"):
            expected = may_contact(
                world, customer, moments[0], refused_by=moments[0], known_by=moments[1]
            )
            assert row["is_contactable"] == expected, seed


def assert_every_refusal_was_lifted(
    world: World, customer: str, channel: str, purpose: str
) -> None:
    """The promise itself: each refusal is followed by a grant of the same identifier."""
    for refusal in world.said:
        concerns = (
            world.held[refusal.identifier] == customer
            and refusal.purpose == purpose
            and refusal.channel in (channel, "all")
            and refusal.status in ("denied", "withdrawn")
        )
        assert not concerns or any(
            grant.status == "granted"
            and (grant.identifier, grant.purpose) == (refusal.identifier, purpose)
            and grant.channel in (channel, "all")
            and refusal.effective_at < grant.effective_at < NOW
            for grant in world.said
        )


# --- in a refresh ------------------------------------------------------------------------------

YESTERDAY = AS_OF - timedelta(days=1)


def _consent(consent_id: str, identifier: str, status: str, effective: str, **more: object) -> Row:
    return {"consent_id": consent_id, "identifier": identifier, "purpose": "marketing",
            "channel": "sms", "status": status, "effective_at": at(effective), **more}  # fmt: skip


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop refreshed yesterday and today, whose contactability was then built whole beside."""
    made = shop(tmp_path_factory.mktemp("asked"), ("members", "contacts", "consents"))
    made.land(
        "members",
        [{"member_id": f"crm:{n}", "phone_token": None if n == 4 else f"phone:{n}", "unionid": f"wx:{n}",
          "registered_at": at("2026-01-05 03:00"), "updated_at": at("2026-01-05 03:00")}
         for n in range(1, 7)],
    )  # fmt: skip
    made.land(
        "contacts",
        [{"external_userid": "wecom:1", "staff_id": "s1", "unionid": "wx:1", "added_at": at("2026-01-05 03:00"),
          "updated_at": at("2026-01-05 03:00")}],
    )  # fmt: skip
    made.land(
        "consents",
        [
            *(_consent(f"n{n}", f"crm:{n}", "granted", "2026-01-05 03:00") for n in (1, 4, 6)),
            # Ends, and begins, on the as-of day.
            _consent("n2", "crm:2", "granted", "2026-01-05 03:00", expires_at=at("2026-02-28 03:00")),
            _consent("n3", "crm:3", "granted", "2026-02-28 03:00", _known_at=at("2026-02-20 03:00")),
            _consent("w1", "crm:1", "granted", "2026-01-05 03:00", channel="wecom"),
        ],
    )  # fmt: skip
    made.refresh(**_days(made, YESTERDAY))
    _keep(made, "before")
    made.land(
        "consents",
        [
            _consent("n1-off", "crm:1", "withdrawn", "2026-03-01 00:30"),
            _consent("n6", "crm:6", "denied", "2026-01-05 03:00", _known_at=at("2026-02-28 09:00")),
        ],
        superseding=1,
    )
    made.land(
        "contacts",
        [{"external_userid": "wecom:1", "staff_id": "s1", "unionid": "wx:1", "added_at": at("2026-01-05 03:00"),
          "deleted_at": at("2026-03-01 00:40"), "deleted_by": "customer",
          "updated_at": at("2026-03-01 00:40"), "_known_at": at("2026-03-01 00:40")}],
        superseding=1,
    )  # fmt: skip
    made.land(
        "members",
        [{"member_id": "crm:4", "phone_token": "phone:4", "unionid": "wx:4", "registered_at": at("2026-01-05 03:00"),
          "updated_at": at("2026-02-28 03:00"), "_known_at": at("2026-02-28 03:00")}],
        superseding=1,
    )  # fmt: skip
    made.refresh(**_days(made, AS_OF))
    _keep(made, "after")
    made.make("fct_consent", "contactability", anew=True)
    return made


def _days(made: Shop, as_of: date) -> dict[str, object]:
    said = dbt_vars(made.retailer, as_of)
    return {name: said[name] for name in ("as_of", "as_of_date")}


def _keep(made: Shop, name: str) -> None:
    with Warehouse.of(made.settings).connect(read_only=False) as connection:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {name}")
        for table in ("contactability", "fct_consent"):
            connection.execute(f"CREATE TABLE {name}.{table} AS FROM unified.{table}")


def reasons(made: Shop, when: str, channel: str = "sms") -> dict[str, str]:
    """Why each member may be contacted, or not."""
    found = made.rows(
        f"SELECT i.identifier, c.reason FROM {when}.contactability AS c "
        "JOIN unified.customer_identifier AS i USING (customer_id) "
        f"WHERE i.namespace = 'crm' AND c.channel = '{channel}'"
    )
    return {row["identifier"]: row["reason"] for row in found}


def test_an_unsubscription_of_this_morning_takes_effect_in_the_same_refresh(
    refreshed: Shop,
) -> None:
    assert reasons(refreshed, "before")["crm:1"] == "granted"
    assert reasons(refreshed, "after")["crm:1"] == "withdrawn"
    assert reasons(refreshed, "before", "wecom")["crm:1"] == "granted"
    assert reasons(refreshed, "after", "wecom")["crm:1"] == "deleted_by_customer"


def test_the_day_alone_begins_and_ends_a_grant(refreshed: Shop) -> None:
    assert reasons(refreshed, "before") | {"crm:1": "", "crm:4": "", "crm:6": ""} == {
        "crm:1": "", "crm:2": "granted", "crm:3": "never_asked", "crm:4": "",
        "crm:5": "never_asked", "crm:6": "",
    }  # fmt: skip
    after = reasons(refreshed, "after")
    assert (after["crm:2"], after["crm:3"]) == ("expired", "granted")


def test_a_new_phone_makes_reachable_and_a_correction_forbids(refreshed: Shop) -> None:
    before, after = reasons(refreshed, "before"), reasons(refreshed, "after")
    assert (before["crm:4"], after["crm:4"]) == ("channel_unreachable", "granted")
    assert (before["crm:6"], after["crm:6"]) == ("granted", "denied")


@pytest.mark.parametrize("table", ["contactability", "fct_consent"])
def test_what_is_taken_in_is_what_one_whole_build_gives(refreshed: Shop, table: str) -> None:
    differ = refreshed.rows(
        f"(FROM after.{table} EXCEPT ALL FROM unified.{table}) "
        f"UNION ALL (FROM unified.{table} EXCEPT ALL FROM after.{table})"
    )
    assert differ == []


def test_the_ledger_keeps_every_version_and_says_when_it_was_known(refreshed: Shop) -> None:
    assert refreshed.rows(
        "SELECT version_no, status, is_current, superseded_at FROM unified.fct_consent "
        "WHERE consent_id = 'n6' ORDER BY 1"
    ) == [
        {"version_no": 1, "status": "granted", "is_current": False,
         "superseded_at": at("2026-02-28 09:00")},
        {"version_no": 2, "status": "denied", "is_current": True, "superseded_at": None},
    ]  # fmt: skip


def test_the_table_is_the_answer_as_of_its_day_unless_more_was_refused_since(
    refreshed: Shop,
) -> None:
    differ = refreshed.rows(
        "SELECT i.identifier, t.channel, t.reason, d.reason AS reason_of_day "
        "FROM unified.contactability AS t JOIN "
        f"unified.contactability_as_of(DATE '{AS_OF}', DATE '{AS_OF}') AS d "
        "USING (customer_id, channel, purpose) "
        "JOIN unified.customer_identifier AS i USING (customer_id) "
        "WHERE i.namespace = 'crm' AND t.reason <> d.reason ORDER BY 1, 2"
    )
    assert differ == [
        {"identifier": "crm:1", "channel": "sms", "reason": "withdrawn", "reason_of_day": "granted"},
        {"identifier": "crm:1", "channel": "wecom", "reason": "deleted_by_customer",
         "reason_of_day": "granted"},
    ]  # fmt: skip


# --- gates, and the question asked by a person -------------------------------------------------


def test_gates_stop_what_the_ledger_does_not_allow(refreshed: Shop, tmp_path: Path) -> None:
    spoilt = shop(tmp_path, ("members", "contacts", "consents"))
    spoilt.paths.warehouse.parent.mkdir(parents=True)
    shutil.copyfile(refreshed.paths.warehouse, spoilt.paths.warehouse)
    with Warehouse.of(spoilt.settings).connect(read_only=False) as connection:
        for sql in (
            "UPDATE unified.contactability SET is_contactable = true WHERE reason = 'withdrawn' "
            "OR customer_id = (SELECT customer_id FROM unified.customer_identifier "
            "WHERE identifier = 'crm:5') AND channel = 'sms'",
            # The withdrawn one has a grant to show, of before.
            "UPDATE unified.contactability SET consent_id = 'n1', version_no = 1 "
            "WHERE reason = 'withdrawn'",
            "INSERT INTO unified.contactability FROM unified.contactability WHERE reason = 'denied'",
            "UPDATE unified.fct_consent SET version_no = 2 WHERE consent_id = 'n6'",
            "DELETE FROM unified.fct_consent WHERE consent_id = 'n4'",
        ):
            connection.execute(sql)

    run = run_dbt(
        spoilt.settings, ["test", "--select", "contactability", "fct_consent"], spoilt.variables()
    )

    failed = {
        result.name: " ".join(result.example_keys)
        for result in run.tests
        if result.status == "fail"
    }
    for prefix, shown in {
        "unified_contactability_is_granted": "fault=no grant in force",
        "unique_key_contactability": "channel=sms",
        "unique_key_fct_consent": "consent_id=n6, version_no=2",
        "row_per_version_fct_consent": "rows_here=7, rows_there=8",
    }.items():
        (name,) = (name for name in failed if name.startswith(prefix))
        assert shown in failed[name]
    assert "fault=refused by crm:1" in failed["unified_contactability_is_granted"]


def _customer_of(made: Shop, identifier: str) -> str:
    return str(
        made.one(
            f"SELECT customer_id FROM unified.customer_identifier WHERE identifier = '{identifier}'"
        )
    )


def test_a_person_asks_about_a_customer_now_and_on_a_day(
    refreshed: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_selected", lambda: (refreshed.settings, refreshed.retailer))
    customer = _customer_of(refreshed, "crm:1")

    def said(*more: str) -> str:
        result = CliRunner().invoke(cli.app, ["contactability", "--customer", customer, *more])
        assert result.exit_code == 0, result.output
        (line,) = (line for line in result.output.splitlines() if " sms " in line)
        return " ".join(line.split())

    assert said() == (
        "marketing sms no withdrawn n1-off version 1, crm:1, from 2026-03-01 00:30 UTC"
    )
    assert said("--as-of", "2026-02-28").startswith("marketing sms yes granted n1 version 1, crm:1")
    assert said("--as-of", "2026-03-01", "--known", "2026-02-28").startswith("marketing sms yes")
    assert said("--as-of", "2026-03-01", "--known", "2026-03-01").startswith("marketing sms no")


def test_a_question_that_cannot_be_answered_says_why(
    refreshed: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_selected", lambda: (refreshed.settings, refreshed.retailer))

    for arguments, why in (
        (["--customer", "c-nobody"], "there is no customer c-nobody"),
        (["--customer", "c-nobody", "--known", "2026-02-28"], "give both"),
    ):
        result = CliRunner().invoke(cli.app, ["contactability", *arguments])
        assert result.exit_code == 2
        assert why in result.output


def test_now_is_what_the_table_says(refreshed: Shop) -> None:
    customer = _customer_of(refreshed, "crm:3")
    assert contactability(Warehouse.of(refreshed.settings), customer) == refreshed.rows(
        f"FROM unified.contactability WHERE customer_id = '{customer}' ORDER BY purpose, channel"
    )
