"""Says which part of a process its time went to.

What belongs here: charging CPU and wall seconds to the piece of work that is going on, each second
once. What does not: which functions are pieces of work (``_refresh``).
"""

from __future__ import annotations

import builtins
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

IMPORTS = "imports"


@dataclass
class Spent:
    """What a piece of work took.

    Attributes:
        cpu: User and system seconds, over all threads.
        wall: Seconds on the clock.
        calls: How often it was begun.
    """

    cpu: float = 0.0
    wall: float = 0.0
    calls: int = 0


@dataclass
class Stopwatch:
    """Charges the time that passes to the innermost piece of work that is open.

    One piece works at a time, in whichever thread; what it calls that is a piece of work itself is
    charged there and not to it.

    Attributes:
        rest: Name of what no piece of work claims.
        spent: What each piece took, itself only.
    """

    rest: str
    spent: defaultdict[str, Spent] = field(default_factory=lambda: defaultdict(Spent))

    def __post_init__(self) -> None:
        self._open: dict[object, str] = {object(): self.rest}
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    @contextmanager
    def working(self, name: str) -> Iterator[None]:
        """Charge what runs inside the block."""
        self.settle()
        piece = object()
        self._open[piece] = name
        self.spent[name].calls += 1
        try:
            yield
        finally:
            self.settle()
            del self._open[piece]

    def settle(self) -> None:
        """Charge the time since the last change to the piece that is open."""
        cpu, wall = time.process_time(), time.perf_counter()
        spent = self.spent[self._innermost()]
        spent.cpu += cpu - self._cpu
        spent.wall += wall - self._wall
        self._cpu, self._wall = cpu, wall

    def wrapped(self, function: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
        """The function, charged to what ``name`` makes of its arguments."""

        @wraps(function)
        def charged(*args: Any, **kwargs: Any) -> Any:
            with self.working(name(*args, **kwargs)):
                return function(*args, **kwargs)

        return charged

    def watch_imports(self) -> None:
        """Charge modules that are imported from now on, wherever that happens.

        The libraries of a step are imported when it first runs, in the middle of its work.
        """
        load = builtins.__import__

        def charged(name: str, *args: Any, **kwargs: Any) -> Any:
            level = args[3] if len(args) > 3 else kwargs.get("level", 0)
            known = level == 0 and name in sys.modules
            if known or self._innermost() == IMPORTS:
                return load(name, *args, **kwargs)
            with self.working(IMPORTS):
                return load(name, *args, **kwargs)

        builtins.__import__ = charged

    def _innermost(self) -> str:
        return next(reversed(self._open.values()))
