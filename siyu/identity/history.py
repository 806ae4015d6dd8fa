"""Identity as it was known before: which customers each identifier belonged to, and until when.

All of it follows from what is decided now. A link counts from the moment it was known, so the
customers at a moment are the connected components of the links known by then; a link that is taken
back, by a correction or by hand, never was. Of the parts that later became one customer, the part
that holds the identifier from which the customer's id was made bears that id all along. Any other
bears the id that it would get if it were new, which is what it was called.

What belongs here: the past of the map, as a pure function over Arrow. What does not: who is who now
(``siyu.identity.resolution``), or how past and present stand in one table (dbt,
``unified.customer_identifier_history``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from siyu.identity.clustering import Ints
from siyu.identity.resolution import new_id, new_ids
from siyu.identity_rules import IdentityRule

PAST_SCHEMA = pa.schema(
    [
        ("identifier", pa.string()),
        ("namespace", pa.string()),
        ("customer_id", pa.string()),
        ("effective_from", pa.timestamp("us")),
        ("effective_to", pa.timestamp("us")),
        ("recorded_from", pa.timestamp("us")),
        ("recorded_to", pa.timestamp("us")),
    ]
)


def past(
    customer_identifier: pa.Table,
    identifiers: pa.Table,
    edges: pa.Table,
    rules: Sequence[IdentityRule] = (),
) -> pa.Table:
    """The customers that identifiers belonged to before they came to the one they belong to.

    Args:
        customer_identifier: The map as decided, ``MAP_SCHEMA``, by identifier.
        identifiers: ``staging.stg_identifier``: identifier, first_seen_at.
        edges: ``staging.stg_identity_edge``: identifier_a, identifier_b, first_seen_at, known_at.
            Those between customers do not count: each was refused, or names nobody.
        rules: The manual rules that were applied. A link is known from its decision on.

    Returns:
        ``PAST_SCHEMA``, by identifier and time, the same for the same rows in any order. Recorded
        is when it was known, effective when what tied them was first seen; both from (inclusive) to
        (exclusive), without gaps, and the current membership follows on the last row. An identifier
        that belonged to its customer from the first has no row; junk has none.
    """
    nodes = _nodes(customer_identifier, identifiers)
    forest = _spanning_forest(nodes.customer, _links(nodes, _with_rules(edges, rules)))
    nodes = nodes.known_by(forest)
    apart = _once_apart(nodes, forest)
    if not apart.any():
        return PAST_SCHEMA.empty_table()
    brought = _brought(len(nodes.customer), forest, _anchors(nodes, apart))
    stays = np.array(list(_stays(nodes, forest, brought)), np.int64)
    return _table(nodes, stays.reshape(-1, len(_Stay._fields)))


@dataclass(frozen=True)
class _Nodes:
    """Identifiers that stand for somebody, in order; times in microseconds.

    Attributes:
        rows: Of the map.
        customer: Whom each stands for now, as a dense number.
        known: When each was known.
        seen: When each was first seen.
    """

    rows: pa.Table
    customer: Ints
    known: Ints
    seen: Ints

    def known_by(self, links: _Links) -> _Nodes:
        """The same, each known no later than what links it."""
        known = self.known.copy()
        np.minimum.at(known, links.a, links.known)
        np.minimum.at(known, links.b, links.known)
        return _Nodes(self.rows, self.customer, known, self.seen)

    def names(self, numbers: Ints) -> list[str]:
        """The identifiers of some nodes."""
        found: list[str] = self.rows["identifier"].take(pa.array(numbers)).to_pylist()
        return found


class _Links(NamedTuple):
    """Edges between nodes: both ends, when the edge was known, and when it was first seen."""

    a: Ints
    b: Ints
    known: Ints
    seen: Ints

    def take(self, chosen: Ints | NDArray[np.bool_]) -> _Links:
        """Some of them."""
        return _Links(*(column[chosen] for column in self))


class _Stay(NamedTuple):
    """That a node belonged to a customer who was called after ``oldest``."""

    node: int
    oldest: int
    effective_from: int
    effective_to: int
    recorded_from: int
    recorded_to: int


def _nodes(customer_identifier: pa.Table, identifiers: pa.Table) -> _Nodes:
    rows = customer_identifier.filter(pc.is_valid(customer_identifier["customer_id"]))
    rows = rows.combine_chunks()
    place = pc.index_in(rows["identifier"], value_set=identifiers["identifier"])
    customer = pc.dictionary_encode(rows["customer_id"]).combine_chunks()
    return _Nodes(
        rows,
        np.asarray(customer.indices, np.int64) if len(rows) else np.empty(0, np.int64),
        _microseconds(rows["known_at"]),
        _microseconds(identifiers["first_seen_at"].take(place)),
    )


def _with_rules(edges: pa.Table, rules: Sequence[IdentityRule]) -> pa.Table:
    """The edges, and what people linked."""
    seen = edges.select(["identifier_a", "identifier_b", "first_seen_at", "known_at"])
    linked = [
        (*rule.pair, rule.decided_at, rule.decided_at) for rule in rules if rule.action == "link"
    ]
    rows = [dict(zip(seen.column_names, row, strict=True)) for row in linked]
    return pa.concat_tables([seen, pa.Table.from_pylist(rows, seen.schema)])


def _links(nodes: _Nodes, edges: pa.Table) -> _Links:
    """The edges within today's customers."""
    a, b = (
        pc.fill_null(pc.index_in(edges[name], value_set=nodes.rows["identifier"]), -1)
        .to_numpy()
        .astype(np.int64)
        for name in ("identifier_a", "identifier_b")
    )
    found = (a >= 0) & (b >= 0)
    found[found] = nodes.customer[a[found]] == nodes.customer[b[found]]
    known, seen = (_microseconds(edges[name]) for name in ("known_at", "first_seen_at"))
    return _Links(a, b, known, seen).take(found)


def _microseconds(moments: pa.ChunkedArray) -> Ints:
    return np.asarray(moments.cast(pa.int64()).to_numpy(), np.int64)


def _spanning_forest(customer: Ints, links: _Links) -> _Links:
    """The links that joined what was apart when they came to be known, in that order.

    With the moments as weights they are a minimum spanning forest: whatever links were known by a
    moment, those of the forest known by then connect the same nodes.
    """
    # Imported here: definitions load this module, and few runs resolve.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    size = len(customer)
    ordered = links.take(np.lexsort((links.seen, links.known)))
    pair = np.minimum(ordered.a, ordered.b) * size + np.maximum(ordered.a, ordered.b)
    # Of links between the same two the earliest counts; a weight of 0 would be no link.
    _, first = np.unique(pair, return_index=True)
    graph = coo_array((first + 1.0, (ordered.a[first], ordered.b[first])), shape=(size, size))
    chosen = minimum_spanning_tree(graph.tocsr()).data.astype(np.int64) - 1
    return ordered.take(np.sort(chosen))


def _once_apart(nodes: _Nodes, forest: _Links) -> NDArray[np.bool_]:
    """Which of today's customers were known as several at some moment.

    The n-th link of a customer is never known before the (n+1)-th identifier. Where each is known at
    the same moment as that one there were never two parts; so the sums are equal there and only there.
    """
    start = np.full(nodes.customer.max(initial=-1) + 1, np.iinfo(np.int64).max)
    np.minimum.at(start, nodes.customer, nodes.known)
    waited = np.zeros(len(start), np.int64)
    of_link = nodes.customer[forest.a]
    np.add.at(waited, of_link, forest.known - start[of_link])
    np.subtract.at(waited, nodes.customer, nodes.known - start[nodes.customer])
    apart: NDArray[np.bool_] = waited != 0
    return apart


def _anchors(nodes: _Nodes, apart: NDArray[np.bool_]) -> Ints:
    """Of each such customer the identifier that the id was made from, else the oldest."""
    members = np.flatnonzero(apart[nodes.customer])
    members = members[np.lexsort((nodes.seen[members], nodes.customer[members]))]
    customers, oldest = np.unique(nodes.customer[members], return_index=True)
    anchors = members[oldest]
    # An id that a rebuild gives is made from the oldest; one that was inherited, from any or none.
    inherited = np.zeros(len(apart), np.bool_)
    inherited[customers] = ~_gave_its_name(nodes, anchors)
    others = members[inherited[nodes.customer[members]]]
    found = others[_gave_its_name(nodes, others)]
    anchors[np.searchsorted(customers, nodes.customer[found])] = found
    return anchors


def _gave_its_name(nodes: _Nodes, numbers: Ints) -> NDArray[np.bool_]:
    ids = nodes.rows["customer_id"].take(pa.array(numbers)).to_pylist()
    return np.array(
        [
            new_id(name) == customer_id or new_id(f"split:{name}") == customer_id
            for name, customer_id in zip(nodes.names(numbers), ids, strict=True)
        ],
        np.bool_,
    )


def _brought(size: int, forest: _Links, anchors: Ints) -> Ints:
    """For each node the link that brought it to its customer's anchor, as a place in the forest.

    It is the last to be known on the way there; -1 for anchors, and where there is no way.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order

    # One more node beside all anchors, so that one search finds every way.
    ends = np.r_[forest.a, anchors], np.r_[forest.b, np.full(len(anchors), size)]
    graph = coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(size + 1, size + 1))
    _, before = breadth_first_order(graph.tocsr(), size, directed=False)
    place = np.arange(len(forest.a))
    last = np.full(size + 1, -1, np.int64)
    for one, other in ((forest.a, forest.b), (forest.b, forest.a)):
        towards = before[one] == other
        last[one[towards]] = place[towards]
    before = np.where(before < 0, np.arange(size + 1), before)
    # Each round looks twice as far ahead.
    while not np.array_equal(further := before[before], before):
        last = np.maximum(last, last[before])
        before = further
    return last[:size]


def _stays(nodes: _Nodes, forest: _Links, brought: Ints) -> Iterator[_Stay]:
    """Everything that came before the current membership."""
    late = np.flatnonzero(brought >= 0)
    late = late[forest.known[brought[late]] > nodes.known[late]]
    until = nodes.known.copy()
    until[late] = forest.known[brought[late]]
    # What held together before it was brought to the anchor.
    early = forest.take(forest.known < until[forest.a])
    oldest = {node: node for node in late.tolist()}
    since = {node: (int(nodes.known[node]), int(nodes.seen[node])) for node in oldest}
    parts = {node: [node] for node in {*early.a.tolist(), *early.b.tolist()}}

    def leave(node: int, known: int, seen: int) -> Iterator[_Stay]:
        recorded, effective = since[node]
        if recorded < known:
            turned = max(effective, seen)
            yield _Stay(node, oldest[node], effective, turned, recorded, known)
            since[node] = known, turned

    for a, b, known, seen in zip(*(column.tolist() for column in early), strict=True):
        one, other = oldest[a], oldest[b]
        keep, lose = sorted((one, other), key=lambda node: (nodes.seen[node], node))
        joining = parts.pop(lose)
        for node in joining:
            yield from leave(node, known, seen)
            oldest[node] = keep
        parts[keep] += joining
    for node, link in zip(late.tolist(), brought[late].tolist(), strict=True):
        yield from leave(node, int(forest.known[link]), int(forest.seen[link]))


def _table(nodes: _Nodes, stays: Ints) -> pa.Table:
    """Stays as rows."""
    node, oldest, *moments = stays[np.lexsort((stays[:, 4], stays[:, 0]))].T
    namers, which = np.unique(oldest, return_inverse=True)
    rows = nodes.rows.select(["identifier", "namespace"]).take(pa.array(node))
    ids = _ids_of_parts(nodes, namers).take(pa.array(which))
    times = [pa.array(moment, pa.int64()).cast(pa.timestamp("us")) for moment in moments]
    return pa.table([*rows.columns, ids, *times], schema=PAST_SCHEMA)


def _ids_of_parts(nodes: _Nodes, oldest: Ints) -> pa.Array:
    """The ids of parts, as new customers get them: made from the oldest, and not another's today."""
    return pa.array(new_ids(nodes.names(oldest), (), nodes.rows["customer_id"]), pa.string())
