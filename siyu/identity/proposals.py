"""Members who share no identifier and are probably one person: proposed, and linked where allowed.

What belongs here: which members are compared, and how a proposal becomes an edge below all that sources
prove. What does not: how alike two records are (``siyu.identity.probabilistic``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from siyu.identity.probabilistic import RECORD_SCHEMA, likely_pairs
from siyu.retailer import ProbabilisticLinks

# Below every rule of stg_identity_edge, so that what sources prove goes first where a cap allows one.
PRIORITY = 5
RULE = "alike"
PROPOSAL_SCHEMA = pa.schema(
    [
        ("identifier_a", pa.string()),
        ("identifier_b", pa.string()),
        ("probability", pa.float64()),
        ("is_linked", pa.bool_()),
        ("known_at", pa.timestamp("us")),
    ]
)
_TOKENS = ("name_token", "birth_date_token", "address_token")
# Columns of staging.stg_members.
COMPARED = ("member_id", *_TOKENS, "_known_at")


def propose(
    members: pa.Table,
    edges: pa.Table,
    reveal: Callable[[Collection[str]], Mapping[str, str]],
    junk: Collection[str],
    settings: ProbabilisticLinks,
) -> pa.Table:
    """Pairs of members who are probably one person, of whom nothing in the sources says so.

    Args:
        members: ``staging.stg_members``: member_id, name_token, birth_date_token, address_token,
            _known_at. Those without a name, or with nothing but one, are not compared.
        edges: ``staging.stg_identity_edge``: identifier_a, identifier_b. Members who share an
            identifier are no proposal, whatever became of their edges.
        reveal: The values behind tokens; they are in this function's memory and nowhere after it.
        junk: Tokens of values that are nobody's, such as a till's default birth date.
        settings: From which probability on to propose and to link.

    Returns:
        ``PROPOSAL_SCHEMA``, in order of ids: ids and a probability, no values.

    Raises:
        ProbabilisticLinksError: members cannot be compared.
    """
    records = _records(members, reveal, junk)
    if len(records) < 2:
        return PROPOSAL_SCHEMA.empty_table()
    pairs = likely_pairs(records, settings.propose_above)
    link_above = 2.0 if settings.link_above is None else settings.link_above
    with duckdb.connect() as connection:
        connection.register("pair", pairs)
        connection.register("member", members.select(["member_id", "_known_at"]))
        connection.register("edge", edges.select(["identifier_a", "identifier_b"]))
        return connection.execute(_PROPOSALS, [link_above]).to_arrow_table().cast(PROPOSAL_SCHEMA)


_PROPOSALS = """
WITH seen_with AS (
    SELECT identifier_a AS member_id, identifier_b AS other FROM edge
    UNION SELECT identifier_b, identifier_a FROM edge
)
SELECT
    pair.identifier_a, pair.identifier_b, pair.probability,
    pair.probability >= ? AS is_linked,
    greatest(a._known_at, b._known_at) AS known_at
FROM pair
JOIN member AS a ON pair.identifier_a = a.member_id
JOIN member AS b ON pair.identifier_b = b.member_id
WHERE NOT EXISTS (
    SELECT 1 FROM seen_with AS one JOIN seen_with AS two USING (other)
    WHERE one.member_id = pair.identifier_a AND two.member_id = pair.identifier_b
)
ORDER BY ALL
"""


def linked_edges(proposals: pa.Table, like: pa.Schema) -> pa.Table:
    """The proposals that are taken as edges.

    Args:
        proposals: ``PROPOSAL_SCHEMA``.
        like: Schema of ``staging.stg_identity_edge``.
    """
    taken = proposals.filter(proposals["is_linked"])
    said = {
        "identifier_a": taken["identifier_a"],
        "identifier_b": taken["identifier_b"],
        "rule_id": pa.repeat(RULE, len(taken)),
        "priority": pa.repeat(PRIORITY, len(taken)),
        "evidence_count": pa.repeat(1, len(taken)),
        **dict.fromkeys(("first_seen_at", "last_seen_at", "known_at"), taken["known_at"]),
    }
    return pa.table({name: said[name] for name in like.names}).cast(like)


def _records(
    members: pa.Table, reveal: Callable[[Collection[str]], Mapping[str, str]], junk: Collection[str]
) -> pa.Table:
    wanted = {token for name in _TOKENS for token in members[name].to_pylist() if token}
    values = reveal(wanted - set(junk))
    found = pa.table(
        [
            members["member_id"],
            *([values.get(token) for token in members[name].to_pylist()] for name in _TOKENS),
        ],
        schema=RECORD_SCHEMA,
    )
    more = pc.or_(pc.is_valid(found["birth_date"]), pc.is_valid(found["address"]))
    return found.filter(pc.and_(pc.is_valid(found["name"]), more))
