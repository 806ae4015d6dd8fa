"""What a day's files cost beside the full load, from landing to unified.

``python -m benchmarks delta_cost`` runs the full size; ``python -m benchmarks.delta_cost 5000`` a
small trial, in which what does not grow with the rows weighs most.

A simulated retailer is loaded up to its last day, then a run finds nothing new, then the last day's
files arrive. Each run lands, builds staging with its tests, resolves identities, and builds unified
with its tests; importing and parsing belong to none of them. The figure is what the day's run cost
more than the run that found nothing, as a share of the full load, all in CPU seconds: what the new
rows cause, not what every run costs whatever arrives. (That a refresh passes over layers that have
nothing new is the orchestration's doing, and no part of this.) The same over half the history says
whether a day costs more the more came before it, which is part of the goal: what costs in proportion
to the history would double. Both the day and the run that finds nothing are tried twice from the same
beginning, and the cheaper counts: their difference is small beside what a busy machine adds to either.
Beside it, and no part of the figure, stands the whole job: ``python -m orchestration refresh`` from nothing, and again when the last day has come.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from benchmarks._increments import daily_retailers, deliver, divide, take_back
from benchmarks._report import at_most, measured, report
from benchmarks._runs import MEMBERS, Refresh, refresh_as_it_is
from siyu.config import Settings
from siyu.identity import IdentityStore, past, resolve
from siyu.ingestion import land_entity
from siyu.paths import Paths
from siyu.retailer import Retailer, load_retailer
from siyu.simulator import simulate
from siyu.transform import dbt_vars, register_lake, run_dbt
from siyu.vault import junk_tokens
from siyu.warehouse import Warehouse

DAYS = 730
TRIES = 2
# A retailer that wins its members in half the time has busier days: so many of them make a day of as many
# rows as over the whole history, of which there are then 2.2 times as many.
HALF_MEMBERS = 0.69
# What a day may cost over the whole history, as a multiple of what one costs over half of it.
MOST_GROWTH = 1.3
THROUGH = date(2026, 6, 30)
NOW = datetime(2026, 7, 1, 4, tzinfo=UTC)


@dataclass(frozen=True)
class Run:
    """CPU seconds of one run: of landing, and of all that follows up to unified."""

    landing: float
    layers: float

    @property
    def whole(self) -> float:
        """Both together."""
        return self.landing + self.layers


@dataclass(frozen=True)
class Costs:
    """Three runs over one retailer.

    Attributes:
        full: Everything but the last day, from nothing.
        nothing: A run that finds nothing new.
        delta: The last day.
        rows: Rows or documents of the last day.
    """

    full: Run
    nothing: Run
    delta: Run
    rows: int

    @property
    def net(self) -> Run:
        """What the last day cost more than nothing."""
        return Run(
            self.delta.landing - self.nothing.landing, self.delta.layers - self.nothing.layers
        )

    @property
    def share(self) -> float:
        """The same as a share of the full load."""
        return self.net.whole / self.full.whole


def main(members: int = MEMBERS) -> bool:
    """Measure over the whole history and over half of it.

    Returns:
        Whether a day cost at most a twentieth of the full load, and no more over the whole history
        than over half of it.
    """
    with tempfile.TemporaryDirectory(prefix="siyu-bench-") as folder:
        half = costs(Path(folder) / "half", round(members * HALF_MEMBERS), DAYS // 2)
        whole = costs(Path(folder) / "whole", members, DAYS)
        first, next_day = refreshes(Path(folder) / "refreshes", members)
    growth = whole.net.whole / half.net.whole
    return report(
        name="delta_cost",
        value=whole.share,
        unit="share of CPU seconds",
        goal=at_most(0.05, provided=growth <= MOST_GROWTH),
        compared_with="the full load of the same stages: landing, staging, identity, unified; the "
        "day is net of a run that finds nothing new",
        members=members,
        days=DAYS,
        tries=TRIES,
        growth_from_half_history=growth,
        most_growth_from_half_history=MOST_GROWTH,
        **_figures(whole, ""),
        half_history_share=half.share,
        **_figures(half, "half_history_"),
        refresh_full_cpu_seconds=first.all_but_imports.cpu,
        refresh_day_cpu_seconds=next_day.all_but_imports.cpu,
        refresh_day_share=next_day.all_but_imports.cpu / first.all_but_imports.cpu,
        refresh_day_wall_seconds=next_day.wall,
    )


def _figures(costs: Costs, prefix: str) -> dict[str, float]:
    return {
        f"{prefix}full_cpu_seconds": costs.full.whole,
        f"{prefix}nothing_new_cpu_seconds": costs.nothing.whole,
        f"{prefix}delta_cpu_seconds": costs.delta.whole,
        f"{prefix}delta_net_cpu_seconds": costs.net.whole,
        f"{prefix}delta_net_landing_cpu_seconds": costs.net.landing,
        f"{prefix}delta_net_layers_cpu_seconds": costs.net.layers,
        f"{prefix}delta_rows": costs.rows,
    }


def costs(folder: Path, members: int, days: int) -> Costs:
    """Load a retailer of so many days but for the last, then nothing, then the last day."""
    settings, rows = supply(folder, members, days)
    retailer = load_retailer(settings)
    # What importing and reading the project cost belongs to none of the runs.
    import_and_parse(retailer, folder)
    full = _run(settings, retailer, NOW)
    nothing = [_run(settings, retailer, NOW + timedelta(hours=1)) for _ in range(TRIES)]
    delta = [
        _run(settings, retailer, NOW + timedelta(days=1))
        for _ in days_delivered(folder / "before", folder / "day", Paths.of(settings).root)
    ]
    return Costs(full, _cheapest(nothing), _cheapest(delta), rows)


def days_delivered(before: Path, day: Path, root: Path) -> Iterator[None]:
    """Have the last day's files come, as often as it is tried, each time to the same home.

    Args:
        before: Gets a copy of what had been made until then; absent.
        day: The files.
        root: Of the retailer. Its sources stay where they are, as what is known of files that have
            not changed is part of a run that follows another.
    """
    shutil.copytree(root, before, ignore=shutil.ignore_patterns("sources"), symlinks=True)
    for _ in range(TRIES):
        for place in root.iterdir():
            if place.name != "sources":
                shutil.rmtree(place) if place.is_dir() else place.unlink()
        shutil.copytree(before, root, symlinks=True, dirs_exist_ok=True)
        deliver(day, root / "sources")
        yield
        take_back(day, root / "sources")


def _cheapest(runs: list[Run]) -> Run:
    return min(runs, key=lambda run: run.whole)


def refreshes(folder: Path, members: int) -> tuple[Refresh, Refresh]:
    """The whole job over everything but the last day, and again with that day."""
    settings, _ = supply(folder, members, DAYS)
    first = refresh_as_it_is(settings.home, settings.retailers)
    deliver(folder / "day", Paths.of(settings).root / "sources")
    return first, refresh_as_it_is(settings.home, settings.retailers)


def supply(folder: Path, members: int, days: int) -> tuple[Settings, int]:
    """Put a retailer of so many days where it is landed from, but for the last day.

    Args:
        folder: Gets the retailer's home, and the last day's files in ``day``.
        members: Size of the simulated retailer.
        days: Length of its history.

    Returns:
        Its settings, and how many rows or documents the last day has.
    """
    simulate(folder / "simulated", members, through=THROUGH, days=days)
    settings = Settings(
        home=folder / "home", retailer="demo", retailers=daily_retailers(folder / "retailers"),
        engine="duckdb", as_of=None,
    )  # fmt: skip
    sources = Paths.of(settings).root / "sources"
    sources.parent.mkdir(parents=True)
    return settings, divide(folder / "simulated", days, sources, folder / "day")


def import_and_parse(retailer: Retailer, folder: Path) -> None:
    """Have what the first run of a process loads, loaded."""
    empty = Settings(
        home=folder / "empty", retailer="demo", retailers=folder / "retailers", engine="duckdb",
        as_of=None,
    )  # fmt: skip
    register_lake(empty, retailer)
    run_dbt(empty, ["run", "--select", "tag:staging"], dbt_vars(retailer, THROUGH))


def _run(settings: Settings, retailer: Retailer, now: datetime) -> Run:
    """What landing, staging, identity and unified cost.

    Raises:
        RuntimeError: a layer could not be built.
    """
    with measured() as landing:
        for entity in sorted(retailer.mappings):
            land_entity(settings, retailer, entity, "bench", now)
    with measured() as layers:
        _layer(settings, retailer, "staging")
        _identify(settings, retailer)
        _layer(settings, retailer, "unified")
    return Run(landing.cpu_seconds, layers.cpu_seconds)


def _layer(settings: Settings, retailer: Retailer, layer: str) -> None:
    register_lake(settings, retailer)
    run = run_dbt(settings, ["build", "--select", f"tag:{layer}"], dbt_vars(retailer, THROUGH))
    broken = [f"{one.name}: {one.message}" for one in run.results if one.status == "error"]
    if broken:
        raise RuntimeError(f"{layer}: {'; '.join(broken)}")


def _identify(settings: Settings, retailer: Retailer) -> None:
    warehouse, paths = Warehouse.of(settings), Paths.of(settings)
    store = IdentityStore(paths)
    identifiers = warehouse.read("SELECT * FROM staging.stg_identifier")
    edges = warehouse.read("SELECT * FROM staging.stg_identity_edge")
    decided = resolve(
        identifiers,
        edges,
        store.previous(),
        {name: one.cap for name, one in retailer.identifiers.items() if one.cap is not None},
        [name for name, one in retailer.identifiers.items() if one.type == "member_id"],
        junk_tokens(paths, "phone") | junk_tokens(paths, "email"),
        "bench",
    )
    store.write(decided)
    store.write_past(past(decided.customer_identifier, identifiers, edges))


if __name__ == "__main__":
    sys.exit(0 if main(*map(int, sys.argv[1:2])) else 1)
