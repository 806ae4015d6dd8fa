"""What is true of the world before any system writes it down."""

from datetime import date

import numpy as np
import pytest

from siyu.simulator.marketing import SENT, TREATMENT
from siyu.simulator.parameters import DAY, PROCESS
from siyu.simulator.purchases import HABIT, STORE
from siyu.simulator.sessions import BROWSE, INTENT
from siyu.simulator.world import World, make_world

FIRST_DAY = date(2024, 7, 1)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(3_000, 7, FIRST_DAY, 730, 1.0)


def test_nobody_buys_before_joining_or_from_dropout_on(world: World) -> None:
    orders, people = world.purchases.orders, world.people
    day = orders.ordered_at // DAY
    assert (day >= people.joined_day[orders.person]).all()
    assert (day < people.dropout_day[orders.person]).all()


def test_purchase_rates_differ_between_people_and_show_in_their_orders(world: World) -> None:
    orders, people = world.purchases.orders, world.people
    counts = np.bincount(orders.person, minlength=people.count)
    alive = np.minimum(people.dropout_day, 730) - people.joined_day
    steady = (alive > 180) & (people.habit < 0)
    frequent = people.rate > np.median(people.rate)
    per_day = counts / alive
    assert per_day[steady & frequent].mean() > 2 * per_day[steady & ~frequent].mean()


def test_habits_are_bought_again_on_their_cycle(world: World) -> None:
    orders, people = world.purchases.orders, world.people
    rows = np.flatnonzero(orders.cause == HABIT)
    rows = rows[np.lexsort((orders.ordered_at[rows], orders.person[rows]))]
    same = orders.person[rows][1:] == orders.person[rows][:-1]
    gaps = np.diff(orders.ordered_at[rows])[same] / DAY
    cycles = people.habit_cycle[orders.person[rows][1:][same]]
    assert np.mean(gaps / cycles) == pytest.approx(1.0, abs=0.1)
    assert np.std(gaps / cycles) < 0.5


def test_singles_day_sells_more_than_the_weeks_after(world: World) -> None:
    day = world.purchases.orders.ordered_at // DAY
    per_day = np.bincount(day, minlength=730)
    singles_day = (date(2025, 11, 11) - FIRST_DAY).days
    assert (
        per_day[singles_day - 1 : singles_day + 1].mean()
        > 1.5 * per_day[singles_day + 5 : singles_day + 25].mean()
    )


def test_spring_festival_week_is_quiet(world: World) -> None:
    per_day = np.bincount(world.purchases.orders.ordered_at // DAY, minlength=730)
    festival = (date(2026, 2, 17) - FIRST_DAY).days
    assert (
        per_day[festival - 3 : festival + 7].mean()
        < 0.8 * per_day[festival - 24 : festival - 4].mean()
    )


def test_order_amounts_add_up_and_stay_positive(world: World) -> None:
    lines = world.purchases.lines
    assert (lines.net_fen >= 0).all()
    assert (lines.gross_fen - lines.discount_fen == lines.net_fen).all()
    assert (world.purchases.order_sum(lines.net_fen) > 0).all()


def test_a_coupon_is_used_once_by_its_owner_in_time(world: World) -> None:
    coupons, orders = world.purchases.coupons, world.purchases.orders
    used = np.flatnonzero(coupons.order >= 0)
    assert len(used) > 100
    order = coupons.order[used]
    assert (orders.person[order] == coupons.person[used]).all()
    assert (orders.coupon[order] == used).all()
    waited = orders.ordered_at[order] - coupons.issued_at[used]
    assert ((waited >= 0) & (waited < 30 * DAY)).all()


def test_a_line_is_refunded_once_for_no_more_than_was_paid(world: World) -> None:
    refunds, lines = world.purchases.refunds, world.purchases.lines
    assert len(np.unique(refunds.line)) == len(refunds.line)
    assert (refunds.amount_fen <= lines.net_fen[refunds.line]).all()
    waited = refunds.requested_at - world.purchases.orders.ordered_at[lines.order[refunds.line]]
    assert (waited > 0).all()
    assert (waited > 14 * DAY).mean() > 0.1


def test_browsing_falls_before_dropout_while_orders_do_not(world: World) -> None:
    people, sessions, orders = world.people, world.sessions, world.purchases.orders
    # People who were around for long and dropped out inside the simulation.
    leavers = (people.dropout_day < 700) & (people.dropout_day - people.joined_day > 200)

    def per_day(person: np.ndarray, at: np.ndarray, low: int, high: int) -> float:
        before = people.dropout_day[person] - at // DAY
        return float((leavers[person] & (before > low) & (before <= high)).sum() / (high - low))

    idle = sessions.reason == BROWSE
    person, at = sessions.person[idle], sessions.started_at[idle]
    assert per_day(person, at, 0, 14) < 0.6 * per_day(person, at, 80, 160)
    assert per_day(orders.person, orders.ordered_at, 0, 14) > 0.7 * per_day(
        orders.person, orders.ordered_at, 80, 160
    )


def test_contacts_delete_staff_mostly_around_dropout(world: World) -> None:
    people = world.people
    gone = people.in_wecom & (people.deleted_day < 730)
    assert gone.sum() > 100
    assert (np.abs(people.deleted_day - people.dropout_day)[gone] <= 28).mean() > 0.6


def test_what_will_be_bought_is_looked_at_before(world: World) -> None:
    sessions, orders = world.sessions, world.purchases.orders
    row = np.flatnonzero(sessions.reason == INTENT)
    key = orders.person * 10**9 + orders.ordered_at
    key.sort()
    wanted = sessions.person[row] * 10**9 + sessions.started_at[row]
    following = key[np.minimum(np.searchsorted(key, wanted), len(key) - 1)]
    assert (following // 10**9 == sessions.person[row]).all()


def test_effects_differ_and_one_experiment_does_nothing(world: World) -> None:
    assigned = world.marketing.assignments
    means = [
        assigned.effect[assigned.experiment == number].mean()
        for number in range(len(PROCESS.experiment_effects))
    ]
    idle = PROCESS.experiment_effects.index(0.0)
    assert means[idle] == 0
    assert min(mean for number, mean in enumerate(means) if number != idle) > 0.01
    assert assigned.effect.std() > assigned.effect.mean() / 2


def test_arms_are_balanced_and_only_the_treated_get_the_message(world: World) -> None:
    assigned = world.marketing.assignments
    assert (assigned.arm == TREATMENT).mean() == pytest.approx(0.5, abs=0.01)
    assert not assigned.delivered[assigned.arm != TREATMENT].any()
    # Staff must confirm, so not everybody who should get it does.
    uptake = assigned.delivered[assigned.arm == TREATMENT].mean()
    assert 0.4 < uptake < 0.9


def test_an_experiments_delivery_is_what_its_message_says(world: World) -> None:
    assigned, sends = world.marketing.assignments, world.marketing.sends
    campaigns = world.catalogue.campaigns
    treated = assigned.arm == TREATMENT
    delivered = set(
        zip(assigned.experiment[treated & assigned.delivered].tolist(),
            assigned.person[treated & assigned.delivered].tolist(), strict=True)
    )  # fmt: skip
    experiment = campaigns.experiment[sends.campaign]
    sent = (experiment >= 0) & (sends.status == SENT)
    assert delivered == set(
        zip(experiment[sent].tolist(), sends.person[sent].tolist(), strict=True)
    )


def test_stores_sell_while_they_are_open(world: World) -> None:
    orders = world.purchases.orders
    second = orders.ordered_at[orders.channel == STORE] % DAY
    assert second.min() >= 10 * 3600
    assert second.max() < 22 * 3600


def test_referrers_joined_before_whom_they_brought(world: World) -> None:
    people = world.people
    brought = people.referrer >= 0
    assert brought.sum() > 100
    assert (people.joined_day[people.referrer[brought]] < people.joined_day[brought]).all()
