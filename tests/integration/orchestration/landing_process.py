"""One landing in a process of its own: it stops in the middle until a line comes on its input.

Run as ``python landing_process.py <folder>`` on a shop laid out by ``connected_shop.make_shop``.
"""

import sys
from pathlib import Path

import dagster as dg
from connected_shop import Shop, piece

from orchestration.defs.ingest import sources
from siyu.ingestion.pull import Piece


def _wait(name: str) -> Piece:
    """Say that the run holds the lock, and go on when told to."""
    if name == "people":
        sys.stdout.write("pulling\n")
        sys.stdout.flush()
        sys.stdin.readline()
    return piece(name)


def main(folder: Path) -> int:
    """Land; 0 when it succeeded."""
    shop = Shop(folder, _wait)
    sources.PULLERS = {"postgres": shop.puller}
    with dg.DagsterInstance.ephemeral() as instance:
        return (
            0 if shop.run(instance, "sources/people", "sources/goods", "lake/stores").success else 1
        )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
