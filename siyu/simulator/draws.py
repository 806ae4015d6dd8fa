"""Random numbers and text, by the array.

What belongs here: named random streams, and ways to make many strings at once. What does not:
anything that knows about retail.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_BASE62 = np.frombuffer(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", dtype=np.uint8
)


class Streams:
    """Independent random streams by name, so that one part's draws never shift another's."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def of(self, name: str) -> np.random.Generator:
        """The stream of that name, from its beginning."""
        return np.random.default_rng([self._seed, zlib.crc32(name.encode())])


def tokens(rng: np.random.Generator, count: int, length: int, prefix: str = "") -> pa.Array:
    """Random base-62 strings of ``length`` characters behind ``prefix``."""
    letters = _BASE62[rng.integers(0, len(_BASE62), (count, length))]
    return _strings(_prefixed(prefix, letters))


def numbered(prefix: str, numbers: Ints, width: int) -> pa.Array:
    """``prefix`` and each number, padded with zeros to ``width`` digits.

    Raises:
        ValueError: a number has more digits than ``width``.
    """
    if len(numbers) and int(numbers.max()) >= 10**width:
        raise ValueError(f"{int(numbers.max())} has more than {width} digits")
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    digits = (numbers[:, None] // powers % 10 + ord("0")).astype(np.uint8)
    return _strings(_prefixed(prefix, digits))


def pick(values: pa.Array, index: npt.NDArray[Any], missing: Bools | None = None) -> pa.Array:
    """``values[index]``, null where ``missing``."""
    return values.take(pa.array(index, mask=missing))


def choose(rng: np.random.Generator, weights: Floats, rows: Ints) -> Ints:
    """For each of ``rows`` one column of ``weights`` (rows summing to 1), by those odds."""
    reached = np.cumsum(weights, axis=1)[rows]
    drawn = (rng.random(len(rows))[:, None] > reached).sum(axis=1)
    # Rounding may leave the last total just below 1.
    chosen: Ints = np.minimum(drawn, weights.shape[1] - 1)
    return chosen


def positions(counts: Ints) -> Ints:
    """0, 1, 2 … inside each run of ``counts`` rows."""
    ends: Ints = np.cumsum(counts)
    starts = np.repeat(ends - counts, counts)
    return np.arange(len(starts)) - starts


def runs(values: Ints) -> tuple[Ints, Ints]:
    """First row and size of each run of equal values."""
    first = np.flatnonzero(np.diff(values, prepend=values[:1] - 1))
    return first, np.diff(np.append(first, len(values)))


def _prefixed(prefix: str, letters: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    head = np.frombuffer(prefix.encode("ascii"), dtype=np.uint8)
    return np.hstack([np.broadcast_to(head, (len(letters), len(head))), letters])


def _strings(letters: npt.NDArray[np.uint8]) -> pa.Array:
    """Each row of ASCII codes as one string, without a Python object in between."""
    count, width = letters.shape
    offsets = np.arange(count + 1, dtype=np.int32) * width
    data = np.ascontiguousarray(letters)
    return pa.Array.from_buffers(
        pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )
