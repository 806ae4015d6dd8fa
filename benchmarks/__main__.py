"""``python -m benchmarks [name]``: run every benchmark, or one.

Run together, each benchmark has a process of its own, so that what one imports or leaves in memory
is not in another's figures; the runs that several speak of are made once. The exit status is 1 when
any falls short of its goal or breaks, and 2 when there is no benchmark, or none of that name.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks._runs import HOME, bench_home

FOLDER = Path(__file__).parent


def names(folder: Path = FOLDER) -> list[str]:
    """Every benchmark: the modules that do not begin with an underscore."""
    found = (module.name for module in pkgutil.iter_modules([str(folder)]))
    return sorted(name for name in found if not name.startswith("_"))


def run_one(name: str) -> int:
    """Run a benchmark in this process.

    Returns:
        0 when it reached its goal, else 1.

    Raises:
        TypeError: its ``main`` did not say whether it did.
    """
    reached = importlib.import_module(f"benchmarks.{name}").main()
    if not isinstance(reached, bool):
        raise TypeError(f"benchmarks/{name}.py: main() must return what report() returned")
    return 0 if reached else 1


def run_all(found: Sequence[str]) -> int:
    """Run benchmarks one after another, each in a process of its own.

    Returns:
        0 when all reached their goals, else 1.
    """
    short = []
    with bench_home() as home:
        environment = {**os.environ, HOME: str(home)}
        for name in found:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks", name], env=environment, check=False
            )
            if done.returncode:
                short.append(name)
    if short:
        print(f"short of their goals: {', '.join(short)}", file=sys.stderr)
    return 1 if short else 0


def main(arguments: Sequence[str]) -> int:
    """Run what the command line asks for; returns the exit status."""
    known = names()
    if not known:
        print(f"no benchmark in {FOLDER}", file=sys.stderr)
        return 2
    if not arguments:
        return run_all(known)
    if len(arguments) > 1 or arguments[0] not in known:
        print(f"name one benchmark, or none for all: {', '.join(known)}", file=sys.stderr)
        return 2
    return run_one(arguments[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
