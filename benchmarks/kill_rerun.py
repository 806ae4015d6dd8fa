"""Whether a refresh that is killed anywhere and run again ends where an undisturbed one does.

``python -m benchmarks kill_rerun`` kills 20 refreshes; ``python -m benchmarks.kill_rerun 3`` three.

A small demo retailer has been refreshed and published, and a month of files has come since. A
refresh of it is killed (SIGKILL) in the middle of one of its steps and run again, each time from the
same beginning. The steps are taken in turn, so that landing, every layer, training, scoring and
publishing are met; which step of a stage, and how far into it, is drawn by a seed. How far is
counted in CPU seconds of the run, which the machine's load does not move.

Equal means: the lake, the quarantine and every table of the warehouse and of the publication have the
same rows, run stamps aside, every identifier has the same customer, no run is left open anywhere, nothing blocks, nothing
half-written lies about, and whoever read the publication meanwhile could.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks._killing import Ended, Held, Progress, Reader, Step, held, run
from benchmarks._report import at_least, measured, report
from benchmarks._runs import SETTINGS, bench_home
from siyu.paths import Paths
from siyu.simulator import simulate

KILLS = 20
MEMBERS = 100
SEED = 7
# The month that comes after the first refresh; its files are named after it.
LATER = "*2026-06*"


@dataclass(frozen=True)
class Moment:
    """When to kill.

    Attributes:
        steps: After so many steps have succeeded.
        step: The step that is then at work.
        cpu_seconds: After it has used so much.
    """

    steps: int
    step: str
    cpu_seconds: float

    def __call__(self, progress: Progress) -> bool:
        """Whether a run has come to it."""
        done = len(progress.steps)
        return done > self.steps or (
            done == self.steps and progress.cpu_seconds >= self.cpu_seconds
        )

    def __str__(self) -> str:
        return f"{self.step} after {self.cpu_seconds:.2f} s"


class Scene:
    """A home that can be put back to where a month of files has just come."""

    def __init__(self, folder: Path, members: int) -> None:
        self.paths = Paths(folder / "home", "demo")
        self._before = folder / "before"
        self._later = folder / "later"
        self._environment = {
            # Empty is unset.
            **dict.fromkeys(SETTINGS, ""),
            "SIYU_HOME": str(self.paths.home),
            "SIYU_RETAILER": "demo",
        }
        sources = self.paths.root / "sources"
        simulate(sources, members)
        for file in sorted(sources.rglob(LATER)):
            kept = self._later / file.relative_to(sources)
            kept.parent.mkdir(parents=True, exist_ok=True)
            file.replace(kept)
        _require(self.refresh())
        # In its own place, so that what knows absolute places goes on being right.
        shutil.copytree(self.paths.home, self._before, symlinks=True)

    def reset(self) -> None:
        """Everything as after the first refresh, and the later files there."""
        shutil.rmtree(self.paths.home)
        shutil.copytree(self._before, self.paths.home, symlinks=True)
        shutil.copytree(self._later, self.paths.root / "sources", dirs_exist_ok=True)

    def refresh(self, moment: Moment | None = None, reader: Reader | None = None) -> Ended:
        """Refresh, to the end or until a moment."""
        return run("refresh", self._environment, moment, reader.look if reader else None)


def moments(steps: Sequence[Step], count: int, seed: int = SEED) -> list[Moment]:
    """Moments to kill at, stage after stage.

    Args:
        steps: Of an undisturbed refresh.
        count: How many.
        seed: The same gives the same.
    """
    stages: dict[str, list[int]] = {}
    for number, step in enumerate(steps):
        stages.setdefault(step.name.partition("/")[0], []).append(number)
    drawn = random.Random(seed)
    order = sorted(stages)
    drawn.shuffle(order)
    found = []
    for number in range(count):
        stage = stages[order[number % len(order)]]
        # A step that lands nothing is over at once; those that work are the ones to hit.
        (at,) = drawn.choices(stage, [steps[step].cpu_seconds for step in stage])
        found.append(Moment(at, steps[at].name, drawn.random() * steps[at].cpu_seconds))
    return found


def disturbed(scene: Scene, moment: Moment, undisturbed: Held) -> list[str]:
    """Kill a refresh, run it again, and say in what the end differs; empty when it does not."""
    scene.reset()
    reader = Reader(scene.paths)
    killed = scene.refresh(moment, reader)
    reader.look()
    again = scene.refresh(reader=reader)
    if killed.code >= 0 or again.code != 0:
        return [f"killed: {killed.code}, again: {again.code}\n{killed.output}{again.output}"]
    reader.look()
    return held(scene.paths).differences(undisturbed)


def main(kills: int = KILLS, members: int = MEMBERS) -> bool:
    """Kill, run again and compare.

    Returns:
        Whether every one of them ended as if nothing had happened.
    """
    equal = 0
    with measured() as cost, _scene(members) as scene:
        scene.reset()
        ended = _require(scene.refresh())
        undisturbed = held(scene.paths)
        chosen = moments(ended.progress.steps, kills)
        for moment in chosen:
            found = disturbed(scene, moment, undisturbed)
            equal += not found
            sys.stderr.write(f"killed in {moment}: {'; '.join(found) or 'equal'}\n")
    return report(
        name="kill_rerun",
        value=equal / kills,
        unit="share of kills",
        goal=at_least(1.0),
        compared_with="an undisturbed refresh of the same files",
        kills=kills,
        equal=equal,
        steps_hit=len({moment.step for moment in chosen}),
        tables=len(undisturbed.published),
        landed_rows=sum(rows for rows, _ in undisturbed.landed.values()),
        quarantined_rows=undisturbed.landed["quarantine"][0],
        members=members,
        wall_seconds=cost.wall_seconds,
        cpu_seconds=cost.cpu_seconds,
    )


@contextmanager
def _scene(members: int) -> Iterator[Scene]:
    with bench_home() as home:
        folder = home / f"kill_rerun-{members}-{os.getpid()}"
        try:
            yield Scene(folder, members)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _require(ended: Ended) -> Ended:
    """A refresh that nobody killed must succeed."""
    if ended.code != 0:
        raise RuntimeError(f"an undisturbed refresh failed:\n{ended.output}")
    return ended


if __name__ == "__main__":
    sys.exit(0 if main(*map(int, sys.argv[1:])) else 1)
