"""Every number of the simulated world in one place: the process, and the rates of dirt.

What belongs here: constants, with what they mean and in which unit. What does not: anything that
computes. docs/simulator.md explains the process in words.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Literal

Size = int | Literal["tiny", "demo"]

SIZES: dict[str, int] = {"tiny": 300, "demo": 5_000}
LEAST_MEMBERS = 50
LEAST_DAYS = 60

UTC_OFFSET_SECONDS = 8 * 3600
DAY = 86_400

SPRING_FESTIVALS = (
    date(2018, 2, 16),
    date(2019, 2, 5),
    date(2020, 1, 25),
    date(2021, 2, 12),
    date(2022, 2, 1),
    date(2023, 1, 22),
    date(2024, 2, 10),
    date(2025, 1, 29),
    date(2026, 2, 17),
    date(2027, 2, 6),
    date(2028, 1, 26),
    date(2029, 2, 13),
    date(2030, 2, 3),
    date(2031, 1, 23),
    date(2032, 2, 11),
)


@dataclass(frozen=True)
class Process:
    """How people live with the retailer. Rates are per person and day unless they say otherwise.

    Attributes:
        opening_share: Share of members who join in the wave after the first day.
        opening_days: Mean days after the first day at which that wave joins.
        guests_per_member: Buyers of the online shops who never become members.
        rate_shape: Shape of the gamma distribution of spontaneous purchase rates.
        rate_mean: Mean of that distribution, orders a day while alive.
        dropout_shape: Shape of the gamma distribution of dropout rates.
        dropout_mean: Mean of that distribution; a lifetime is exponential given the rate.
        first_order_share: Share of members who buy on the day they join.
        habit_share: Share of people with a category they buy again on a cycle.
        habit_gap_shape: Shape of the gamma distribution of gaps in a cycle; higher is steadier.
        extra_lines: Mean lines of an order beyond the first.
        browse_mean: Mean browsing sessions a day of an engaged person.
        browse_shape: Shape of the gamma distribution of browsing rates.
        browse_rate_link: Exponent that ties browsing to the purchase rate; 0 is unrelated.
        fade_days: Bounds of the days before dropout at which a person begins to lose interest.
        fade_floor: Browsing that is left on the day of dropout, as a share.
        after_floor: Browsing that is left after dropout, as a share.
        intent_share: Share of orders that are browsed for beforehand.
        intent_days: Mean days between that browsing and the order.
        window_share: Share of idle sessions that put something into the cart all the same.
        delete_share: Share of contacts who delete their WeCom staff around dropout.
        delete_idle_share: Share of contacts who delete staff at any other time.
        withdraw_share: Share of members who withdraw marketing consent around dropout.
        withdraw_idle_share: Share of members who withdraw it at any other time.
        response_mean: Mean extra orders caused by one delivered mass message.
        experiment_effects: Strength of each experiment's message beside that of an ordinary one;
            one of them does nothing.
        response_days: Mean days from a nudge to the order it causes.
        response_limit_days: No nudge works longer than this.
        hour_sd: Spread of a person's activity around their preferred hour, hours.
        channel_effects: Extra orders caused by one advertising touch, by channel.
        touches_mean: Mean advertising touches of a mini-program user in a year.
        referred_share: Share of members who were brought by another member.
        shared_order_share: Share of mini-program orders that came through a friend's share.
        refund_share: Share of order lines that are refunded.
        refund_days: Mean days from order to refund request; the tail runs to weeks.
        feedback_share: Share of orders that get feedback.
        shopping_staff_share: Share of staff who are members themselves.
    """

    opening_share: float = 0.45
    opening_days: float = 60.0
    guests_per_member: float = 0.08
    rate_shape: float = 0.9
    rate_mean: float = 1 / 125
    dropout_shape: float = 1.6
    dropout_mean: float = 1 / 260
    first_order_share: float = 0.85
    habit_share: float = 0.30
    habit_gap_shape: float = 8.0
    extra_lines: float = 0.95
    browse_mean: float = 1 / 26
    browse_shape: float = 1.2
    browse_rate_link: float = 0.35
    fade_days: tuple[int, int] = (21, 70)
    fade_floor: float = 0.12
    after_floor: float = 0.04
    intent_share: float = 0.72
    intent_days: float = 4.0
    window_share: float = 0.12
    delete_share: float = 0.38
    delete_idle_share: float = 0.04
    withdraw_share: float = 0.22
    withdraw_idle_share: float = 0.03
    response_mean: float = 0.08
    experiment_effects: tuple[float, ...] = (2.2, 1.2, 0.0, 1.6)
    response_days: float = 2.0
    response_limit_days: int = 10
    hour_sd: float = 2.2
    channel_effects: tuple[tuple[str, float], ...] = (
        ("moments_ad", 0.020),
        ("article", 0.008),
        ("official_account", 0.035),
        ("subscription_message", 0.050),
    )
    touches_mean: float = 1.5
    referred_share: float = 0.12
    shared_order_share: float = 0.04
    refund_share: float = 0.035
    refund_days: float = 9.0
    feedback_share: float = 0.10
    shopping_staff_share: float = 0.20


@dataclass(frozen=True)
class DirtRates:
    """How often each kind of dirt occurs, as a share of the rows of the feed it occurs in.

    Attributes:
        duplicate: Rows delivered twice, byte for byte.
        late: Rows recorded hours or days after they happened, so that they arrive out of order.
        corrected: Till orders that are sent again, with a newer time and the member filled in.
        invalid: Extra rows that break the contract, of each kind named in docs/simulator.md.
        junk_phone: Members registered with a number that is nobody's.
        shared_phone: Members registered with the number of another member, as families do.
        missing_phone: Members without a number.
        missing_unionid: Members, contacts and events that lack the unionid their person has.
        mistyped_remark: Remark phones in which staff mistyped a digit.
        second_member: Persons who hold a second membership.
        anonymous_sale: Store orders of members who did not show their code.
        phone_in_text: Feedback that holds a phone number.
    """

    duplicate: float = 0.004
    late: float = 0.015
    corrected: float = 0.02
    invalid: float = 0.0005
    junk_phone: float = 0.012
    shared_phone: float = 0.02
    missing_phone: float = 0.03
    missing_unionid: float = 0.15
    mistyped_remark: float = 0.02
    second_member: float = 0.02
    anonymous_sale: float = 0.06
    phone_in_text: float = 0.02

    def times(self, multiplier: float) -> DirtRates:
        """The same rates, each multiplied and held to at most one half."""
        scaled = {f.name: min(0.5, getattr(self, f.name) * multiplier) for f in fields(self)}
        return replace(self, **scaled)


PROCESS = Process()
DIRT = DirtRates()
