"""What the retailer does to people, and what that causes.

What belongs here: mass messages, experiments, advertising touches, and the extra orders each of
them causes ("nudges"). What does not: orders people place of themselves (``purchases``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from siyu.simulator.catalogue import Catalogue
from siyu.simulator.draws import Bools, Floats, Ints, Streams
from siyu.simulator.parameters import DAY, PROCESS
from siyu.simulator.people import NEVER, People
from siyu.simulator.season import Season

UNSENT, SENT, NOT_FRIEND, CAPPED = range(4)
CONTROL, TREATMENT = range(2)

_SEGMENT_SHARE = 0.3
_STALE_LIST_DAYS = 30
_CAPPED_SHARE = 0.01


@dataclass(frozen=True)
class Sends:
    """One row per mass message and recipient, by campaign.

    Attributes:
        campaign, person, staff: Indexes.
        created_at: Local second at which staff were asked.
        status: One of UNSENT, SENT, NOT_FRIEND, CAPPED (WeCom's codes).
        sent_at: Local second of sending, or -1.
    """

    campaign: Ints
    person: Ints
    staff: Ints
    created_at: Ints
    status: Ints
    sent_at: Ints


@dataclass(frozen=True)
class Assignments:
    """One row per experiment and person assigned.

    Attributes:
        experiment, person: Indexes.
        arm: CONTROL or TREATMENT.
        assigned_at: Local second.
        delivered: Whether the treatment reached them.
        effect: Extra orders that delivery causes in this person, delivered or not.
    """

    experiment: Ints
    person: Ints
    arm: Ints
    assigned_at: Ints
    delivered: Bools
    effect: Floats


@dataclass(frozen=True)
class Touches:
    """One row per advertising touch that led into the mini-program.

    Attributes:
        channel: Index into ``PROCESS.channel_effects``.
        person: Index.
        campaign: Index, or -1.
        touched_at: Local second.
    """

    channel: Ints
    person: Ints
    campaign: Ints
    touched_at: Ints


@dataclass(frozen=True)
class Nudges:
    """Orders that would not have been placed otherwise.

    Attributes:
        person: Who places it.
        ordered_at: Local second.
        source: Row of ``Sends`` or ``Touches``.
    """

    person: Ints
    ordered_at: Ints
    source: Ints


@dataclass(frozen=True)
class Marketing:
    """Everything the retailer did, with its consequences.

    Attributes:
        sends, assignments, touches: What was done.
        by_message, by_touch: The orders that it caused.
        spend_fen: Spend by day and channel of ``PROCESS.channel_effects``.
    """

    sends: Sends
    assignments: Assignments
    touches: Touches
    by_message: Nudges
    by_touch: Nudges
    spend_fen: Ints


def make_marketing(
    streams: Streams, catalogue: Catalogue, people: People, season: Season
) -> Marketing:
    """Run every campaign, experiment and advertisement."""
    confirmation = _Confirmation(streams.of("staff confirm"), catalogue)
    assignments = _assign(streams.of("experiments"), catalogue, people, confirmation)
    sends = _send(streams.of("messages"), catalogue, people, assignments, confirmation)
    touches, spend = _touch(streams.of("touches"), catalogue, people, season)
    return Marketing(
        sends=sends,
        assignments=assignments,
        touches=touches,
        by_message=_message_nudges(streams.of("message effect"), catalogue, people, sends),
        by_touch=_touch_nudges(streams.of("touch effect"), people, touches),
        spend_fen=spend,
    )


class _Confirmation:
    """Whether and when each member of staff sends each campaign's message."""

    def __init__(self, rng: np.random.Generator, catalogue: Catalogue) -> None:
        shape = (catalogue.campaigns.count, catalogue.staff.count)
        self.created_at = catalogue.campaigns.start_day * DAY + rng.integers(
            9 * 3600, 18 * 3600, catalogue.campaigns.count
        )
        self.confirms = rng.random(shape) < catalogue.staff.compliance[None, :]
        self.confirms &= catalogue.campaigns.start_day[:, None] < catalogue.staff.left_day[None, :]
        delay = np.minimum(rng.exponential(2.5 * 3600, shape), 2 * DAY).astype(np.int64)
        self.sent_at = self.created_at[:, None] + 60 + delay


def _is_contact(people: People, day: int) -> Bools:
    """Who is on a contact list that is a little stale: the recently deleted are still on it."""
    return (
        people.in_wecom
        & (people.contact_day < day)
        & (people.deleted_day >= day - _STALE_LIST_DAYS)
    )


def _hour_match(people: People, person: Ints, at: Ints) -> Floats:
    """How well a moment suits a person: from .5 to 1.5 as it nears their preferred hour."""
    apart = np.abs(at % DAY / 3600 - people.preferred_hour[person])
    apart = np.minimum(apart, 24 - apart)
    return np.asarray(0.5 + np.exp(-(apart**2) / 18))


def _scale(catalogue: Catalogue, campaign: Ints) -> Floats:
    """How strong a campaign's message is; that of an ordinary campaign is 1."""
    effects = np.array(PROCESS.experiment_effects)
    experiment = catalogue.campaigns.experiment[campaign]
    return np.where(experiment >= 0, effects[experiment % len(effects)], 1.0)


def _alive(people: People, person: Ints, at: Ints) -> Bools:
    day = at // DAY
    return np.asarray((people.joined_day[person] <= day) & (day < people.dropout_day[person]))


def _effect(catalogue: Catalogue, people: People, campaign: Ints, person: Ints, at: Ints) -> Floats:
    """Extra orders that a message delivered at that moment causes."""
    wanted = people.response[person] * _hour_match(people, person, at) * _scale(catalogue, campaign)
    return np.where(_alive(people, person, at), np.minimum(wanted, 0.9), 0.0)


def _assign(
    rng: np.random.Generator, catalogue: Catalogue, people: People, confirmation: _Confirmation
) -> Assignments:
    parts = []
    for campaign in catalogue.experiments:
        start = int(catalogue.campaigns.start_day[campaign])
        person = np.flatnonzero(_is_contact(people, start) & (people.deleted_day >= start))
        arm = rng.permutation(np.arange(len(person)) % 2)
        staff = people.contact_staff[person]
        friend = people.deleted_day[person] * DAY > confirmation.sent_at[campaign, staff]
        delivered = (arm == TREATMENT) & confirmation.confirms[campaign, staff] & friend
        at = confirmation.sent_at[campaign, staff]
        campaigns = np.full(len(person), campaign)
        parts.append(
            Assignments(
                experiment=catalogue.campaigns.experiment[campaigns],
                person=person,
                arm=arm,
                assigned_at=np.full(len(person), start * DAY + 8 * 3600),
                delivered=delivered,
                effect=_effect(catalogue, people, campaigns, person, at),
            )
        )
    return Assignments(
        experiment=np.concatenate([part.experiment for part in parts]),
        person=np.concatenate([part.person for part in parts]),
        arm=np.concatenate([part.arm for part in parts]),
        assigned_at=np.concatenate([part.assigned_at for part in parts]),
        delivered=np.concatenate([part.delivered for part in parts]),
        effect=np.concatenate([part.effect for part in parts]),
    )


def _send(
    rng: np.random.Generator,
    catalogue: Catalogue,
    people: People,
    assignments: Assignments,
    confirmation: _Confirmation,
) -> Sends:
    campaigns = catalogue.campaigns
    chosen = []
    for number in range(campaigns.count):
        experiment = campaigns.experiment[number]
        if experiment >= 0:
            treated = (assignments.experiment == experiment) & (assignments.arm == TREATMENT)
            chosen.append(assignments.person[treated])
            continue
        listed = np.flatnonzero(_is_contact(people, int(campaigns.start_day[number])))
        chosen.append(listed[rng.random(len(listed)) < _SEGMENT_SHARE])
    campaign = np.repeat(np.arange(campaigns.count), [len(part) for part in chosen])
    person = np.concatenate(chosen)
    staff = people.contact_staff[person]
    sent_at = confirmation.sent_at[campaign, staff]
    friend = people.deleted_day[person] * DAY > sent_at
    # Nobody in an experiment is capped, so that uptake there is the staff's doing alone.
    capped = (campaigns.experiment[campaign] < 0) & (rng.random(len(person)) < _CAPPED_SHARE)
    status = np.select(
        [~confirmation.confirms[campaign, staff], ~friend, capped],
        [UNSENT, NOT_FRIEND, CAPPED],
        SENT,
    )
    return Sends(
        campaign=campaign,
        person=person,
        staff=staff,
        created_at=confirmation.created_at[campaign],
        status=status,
        sent_at=np.where(status == SENT, sent_at, -1),
    )


def _touch(
    rng: np.random.Generator, catalogue: Catalogue, people: People, season: Season
) -> tuple[Touches, Ints]:
    channels = len(PROCESS.channel_effects)
    users = np.flatnonzero(people.in_mini)
    total = rng.poisson(len(users) * PROCESS.touches_mean * season.days / 365)
    # Spend moves by week as budgets do; touches follow spend, so its effect can be learnt.
    weeks = rng.lognormal(0, 0.6, (season.days // 7 + 1, channels))
    pressure = np.repeat(weeks, 7, axis=0)[: season.days] * season.factor[:, None] ** 0.5
    cell = np.searchsorted(np.cumsum(pressure) / pressure.sum(), rng.random(total))
    day, channel = np.divmod(np.minimum(cell, pressure.size - 1), channels)
    person = users[rng.integers(0, len(users), total)]
    gone = day >= people.dropout_day[person]
    seen = (people.joined_day[person] < day) & (~gone | (rng.random(total) < 0.2))
    day, channel, person = day[seen], channel[seen], person[seen]
    at = day * DAY + rng.integers(9 * 3600, 23 * 3600, len(day))
    order = np.argsort(at, kind="stable")
    touches = Touches(
        channel[order], person[order], catalogue.campaigns.running(day[order]), at[order]
    )
    cost = np.array([6.0, 2.0, 1.2, 0.6])[:channels]
    spend = (
        pressure / pressure.sum() * total * cost[None, :] * rng.uniform(0.9, 1.1, pressure.shape)
    )
    return touches, (spend * 100).astype(np.int64)


def _message_nudges(
    rng: np.random.Generator, catalogue: Catalogue, people: People, sends: Sends
) -> Nudges:
    row = np.flatnonzero(sends.status == SENT)
    person, at = sends.person[row], sends.sent_at[row]
    effect = _effect(catalogue, people, sends.campaign[row], person, at)
    return _nudges(rng, people, row, person, at, effect)


def _touch_nudges(rng: np.random.Generator, people: People, touches: Touches) -> Nudges:
    row = np.arange(len(touches.person))
    own = people.response[touches.person] / PROCESS.response_mean
    channel_effect = np.array([effect for _, effect in PROCESS.channel_effects])
    effect = np.where(
        _alive(people, touches.person, touches.touched_at),
        np.minimum(channel_effect[touches.channel] * own, 0.9),
        0.0,
    )
    return _nudges(rng, people, row, touches.person, touches.touched_at, effect)


def _nudges(
    rng: np.random.Generator, people: People, row: Ints, person: Ints, at: Ints, effect: Floats
) -> Nudges:
    works = rng.random(len(row)) < effect
    delay = np.minimum(
        rng.exponential(PROCESS.response_days, len(row)), PROCESS.response_limit_days
    )
    ordered_at = at + 600 + (delay * DAY).astype(np.int64)
    works &= ordered_at // DAY < np.minimum(people.dropout_day[person], NEVER)
    return Nudges(person[works], ordered_at[works], row[works])
