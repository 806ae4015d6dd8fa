"""What each system calls each person, and the mistakes in it.

What belongs here: identifiers, and the dirt of identity: shared and junk phones, second
memberships, missing unionids. What does not: traits (``people``), the records that carry the
identifiers (the feeds).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from siyu.simulator.dirt import Dirt
from siyu.simulator.draws import Bools, Ints, Streams, numbered, pick, tokens
from siyu.simulator.people import People

# Prefixes that operators do hand out, so that validation accepts the number; the zeros that follow
# mark it as made up. 138 and 139 are left to the junk numbers.
_PHONE_PREFIXES = np.array([136, 137, 158, 159, 177, 186, 187, 188, 198, 199])
JUNK_PHONES = ("13800000000", "13800138000", "13900000000", "11111111111", "00000000000")


@dataclass(frozen=True)
class Identities:
    """Identifiers; each array has one entry a person, whether or not any system ever sees it.

    Attributes:
        member_id: Membership number.
        second_member_id: Number of the second membership, for those of ``has_second``.
        has_second: Who registered twice.
        phone: The person's own number.
        phone_owner: Whose number they registered: their own, or that of a relative.
        registered_phone: The number in the CRM; null or junk for some.
        junk_phone: Who registered a junk number.
        unionid: WeChat union id.
        crm_lacks_unionid, wecom_lacks_unionid: Where that system lacks it.
        openid: Open id in the mini-program.
        external_userid: WeCom id.
        buyer_id: Id in the mall.
    """

    member_id: pa.Array
    second_member_id: pa.Array
    has_second: Bools
    phone: pa.Array
    phone_owner: Ints
    registered_phone: pa.Array
    junk_phone: Bools
    unionid: pa.Array
    crm_lacks_unionid: Bools
    wecom_lacks_unionid: Bools
    openid: pa.Array
    external_userid: pa.Array
    buyer_id: pa.Array


def make_identities(streams: Streams, people: People, dirt: Dirt) -> Identities:
    """Identifiers for everybody."""
    rng = streams.of("identities")
    count = people.count
    everybody = np.arange(count)
    members = people.is_member
    phone = _phones(rng, count)
    shares = dirt.mark("crm.members", "shared_phone", count, members)
    lender = rng.permutation(people.members)[everybody % people.members]
    # A lender must be somebody else who keeps their own number, or "shared" would mean nothing.
    shares &= (lender != everybody) & ~shares[lender]
    dirt.counts["crm.members", "shared_phone"] = int(shares.sum())
    owner = np.where(shares, lender, everybody)
    junk = dirt.mark("crm.members", "junk_phone", count, members & ~shares)
    missing = dirt.mark("crm.members", "missing_phone", count, members & ~shares & ~junk)
    choices = pa.concat_arrays([phone, pa.array(JUNK_PHONES)])
    written = np.where(junk, count + rng.integers(0, len(JUNK_PHONES), count), owner)
    return Identities(
        member_id=numbered("M", everybody + 1, 8),
        second_member_id=numbered("M", everybody + 1 + 50_000_000, 8),
        has_second=dirt.mark("crm.members", "second_member", count, members),
        phone=phone,
        phone_owner=owner,
        registered_phone=pick(choices, written, missing | ~members),
        junk_phone=junk,
        unionid=tokens(rng, count, 23, "oUn6K"),
        crm_lacks_unionid=dirt.mark("crm.members", "missing_unionid", count, people.on_wechat),
        wecom_lacks_unionid=dirt.mark("wecom.contacts", "missing_unionid", count, people.in_wecom),
        openid=tokens(rng, count, 22, "oMp5_c"),
        external_userid=tokens(rng, count, 24, "wmSyDEMO"),
        buyer_id=tokens(rng, count, 24, "yz"),
    )


def _phones(rng: np.random.Generator, count: int) -> pa.Array:
    """Mobile numbers of a valid form, no two alike."""
    number = rng.permutation(count).astype(np.int64)
    prefix = _PHONE_PREFIXES[number % len(_PHONE_PREFIXES)]
    return numbered("", prefix * 10**8 + number // len(_PHONE_PREFIXES) + 1, 11)
