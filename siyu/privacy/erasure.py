"""Erasing people: layer by layer, each with a receipt, so that a run that is killed goes on.

Tombstones come first: whatever lands from then on comes without them. The vault comes after all that
needs their values to find them, the identity map after all that needs it to tell their rows.

What belongs here: the order, the receipts, and the search that shows that nothing is left. What does
not: how a layer lets go of somebody (the layers).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from siyu.paths import Paths
from siyu.privacy.requests import Receipt, Request, Requests
from siyu.privacy.search import LEAST_BYTES, Finder, forms
from siyu.privacy.subject import Subject
from siyu.tombstones import CUSTOMER, IDENTIFIER, bury
from siyu.vault import Vault


class ErasureError(Exception):
    """Somebody is still found after a layer was erased; the message says where, never whom."""


@dataclass(frozen=True)
class Layer:
    """A place that may hold somebody.

    Attributes:
        name: What a receipt calls it.
        erase: Takes a subject and a request out of it, says what was counted; again changes nothing.
        places: Where it lies by then, searched afterwards.
    """

    name: str
    erase: Callable[[Subject, str], Mapping[str, Any]]
    places: Callable[[], tuple[Path, ...]] = tuple


def erase(
    paths: Paths,
    request: Request,
    layers: Sequence[Layer],
    on_receipt: Callable[[Receipt], None] = lambda _: None,
) -> Request:
    """Do what a request asks and is not done yet.

    Args:
        paths: The retailer's places.
        request: Open, as ``Requests.receive`` gave it or as it was left by a kill.
        layers: In the order in which they are erased.
        on_receipt: Told of each layer that is done.

    Raises:
        ErasureError: a name is still found in a layer, which is left without a receipt.
    """
    requests = Requests(paths)
    subject = requests.work(request.request_id)
    finder = name_finder(subject)
    done = {receipt.layer for receipt in request.receipts if not receipt.still_found}
    for layer in layers:
        if layer.name in done:
            continue
        counts = layer.erase(subject, request.request_id)
        left = [find for place in layer.places() for find in finder.within(place)]
        receipt = Receipt(layer.name, datetime.now(UTC), counts, len(left))
        requests.note(request.request_id, receipt)
        on_receipt(receipt)
        if left:
            files = sorted({str(find.file) for find in left})
            raise ErasureError(
                f"{layer.name}: {len(left)} names are still found, in {', '.join(files[:3])}; run the "
                "erasure again, and report this if it stays"
            )
    return requests.complete(request.request_id, datetime.now(UTC))


def name_finder(subject: Subject) -> Finder:
    """Looks for whatever stands for somebody, and for their orders."""
    return Finder({f"name {number}": name for number, name in enumerate(subject.texts)})


def bury_subject(paths: Paths, subject: Subject, request_id: str) -> Mapping[str, Any]:
    """Keep a subject's identifiers, orders and rows out of whatever lands from now on."""
    keys: dict[str, Collection[str]] = {
        IDENTIFIER: subject.identifiers,
        CUSTOMER: subject.customers,
        **subject.rows,
    }
    for scope, documents in subject.documents.items():
        keys[scope] = {*keys.get(scope, ()), *documents}
    return {"marks": bury(paths, request_id, keys, datetime.now(UTC))}


def destroy_values(paths: Paths, subject: Subject) -> Mapping[str, Any]:
    """Destroy a subject's values in the vault, with the keys that they are sealed under."""
    return {"values": Vault.of(paths).destroy(*subject.tokens)}


def text_matcher(paths: Paths, subject: Subject) -> Callable[[str], bool]:
    """Tells whether a text of a source names somebody: by an identifier, or by a phone or e-mail.

    A name, an address or a day of birth alone is not theirs alone. An identifier as its source writes it,
    without its namespace, counts when it is long enough not to stand there by chance.
    """
    vault = Vault.of(paths)
    said: set[str] = set()
    for name in subject.identifiers:
        namespace, _, own = name.partition(":")
        value = vault.reveal(name) if namespace in ("phone", "email") else own
        said |= {name, *(forms(value) if value else ())}
    long = (text for text in (*said, *subject.papers) if len(text.encode()) >= LEAST_BYTES)
    written = "|".join(sorted(map(re.escape, long), key=len, reverse=True))
    if not written:
        return lambda _: False
    pattern = re.compile(rf"(?<![0-9A-Za-z_])(?:{written})(?![0-9A-Za-z_])", re.IGNORECASE)
    return lambda text: pattern.search(text) is not None
