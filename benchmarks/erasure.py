"""Whether an erased person is gone, stays gone, and takes nothing of anybody else along.

``python -m benchmarks erasure`` runs the full size; ``python -m benchmarks.erasure 150 3`` erases three
of 150 members.

A small demo retailer has been refreshed, scored and published. One member is erased, then several at
once. Every file of the home is searched for every customer id, identifier, token, value and order number
of theirs: freed pages, old files of Delta tables, their logs and old publications included; only the
retailer's own sources are left out. Then every mapping is changed, so that all the same files land again,
and a refresh follows: still nothing may be found; every other customer's rows must be what they were, but
for those who keep what had been theirs too, such as a family's phone; and a refresh that makes every table
anew must give the same.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from benchmarks._killing import STAMPS, held
from benchmarks._report import Cost, at_most, measured, report
from benchmarks._runs import SETTINGS, bench_home
from siyu.config import REPO
from siyu.lake import Lake
from siyu.paths import Paths
from siyu.privacy.search import LEAST_BYTES, Finder
from siyu.privacy.subject import Subject, find_subject
from siyu.simulator import simulate
from siyu.vault import Vault

MEMBERS = 500
ERASED = 12
# Where one customer's row speaks of another.
_OF_OTHERS = frozenset({"referrer_customer_id", "share_from_openid", "sharer_openid"})
_ERASE = "from siyu.cli import app; app()"


@dataclass(frozen=True)
class Home:
    """A retailer's home, and commands on it in processes of their own."""

    paths: Paths
    retailers: Path

    def refresh(self, *options: str) -> None:
        """Refresh; whatever it prints goes to standard error."""
        self._run("-m", "orchestration", "refresh", *options)

    def erase(self, customers: Iterable[str]) -> Cost:
        """``siyu erase``; says what it took."""
        named = [part for customer in customers for part in ("--customer", customer)]
        with measured() as cost:
            self._run("-c", _ERASE, "erase", *named, "--yes")
        return cost

    def found(self, values: Mapping[str, str]) -> list[str]:
        """Where values are found, the sources left out."""
        hits = Finder(values).below(self.paths.home, [self.paths.root / "sources"])
        return [f"{hit.label} in {hit.file.relative_to(self.paths.home)}" for hit in hits]

    def _run(self, *arguments: str) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
        environment |= {
            "SIYU_HOME": str(self.paths.home), "SIYU_RETAILER": self.paths.retailer,
            "SIYU_RETAILERS": str(self.retailers),
        }  # fmt: skip
        subprocess.run(
            [sys.executable, *arguments], cwd=REPO, env=environment, stdout=sys.stderr, check=True
        )


def chosen(paths: Paths, count: int) -> list[str]:
    """Members with the most orders among those whom many systems know: they are in most places."""
    with duckdb.connect() as connection:
        Lake(paths).register(connection)
        rows = connection.execute(
            "SELECT customer_id FROM lake.customer_identifier JOIN lake.orders ON member_id = identifier "
            "WHERE customer_id IN (SELECT customer_id FROM lake.customer_identifier "
            "GROUP BY ALL HAVING count(DISTINCT namespace) >= 5) "
            f"GROUP BY ALL ORDER BY count(*) DESC, customer_id LIMIT {count}"
        ).fetchall()
    return [str(row[0]) for row in rows]


def values_of(paths: Paths, subject: Subject) -> dict[str, str]:
    """Whatever stands for some people: names, orders, and values in clear; by what it is."""
    vault = Vault.of(paths)
    orders = [key for keys in subject.documents.values() for key in keys]
    clear = [vault.reveal(token) for token in subject.tokens]
    said = {
        "name": subject.names,
        "order": orders,
        "value": [value for value in clear if value is not None],
    }
    return {
        f"{kind} {number}": value
        for kind, values in said.items()
        for number, value in enumerate(values)
        if len(value.encode()) >= LEAST_BYTES
    }


def heirs(paths: Paths, shared: Collection[str]) -> list[str]:
    """Customers who have now what had been the erased's and theirs too, such as a family's phone."""
    with duckdb.connect() as connection:
        Lake(paths).register(connection)
        rows = connection.execute(
            "SELECT DISTINCT customer_id FROM lake.customer_identifier "
            "WHERE identifier IN (SELECT unnest($shared)) AND customer_id IS NOT NULL",
            {"shared": list(shared)},
        ).fetchall()
    return [str(row[0]) for row in rows]


def of_others(warehouse: Path, apart: Collection[str]) -> dict[str, tuple[int, int]]:
    """Rows of the unified layer that are of no customer set apart, and a hash of them, by table."""
    found = {}
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        tables = connection.execute(
            "SELECT table_name, list(column_name) FROM duckdb_columns() WHERE schema_name = 'unified' "
            "GROUP BY ALL HAVING list_contains(list(column_name), 'customer_id')"
        ).fetchall()
        for table, columns in tables:
            kept = sorted(set(columns) - STAMPS - _OF_OTHERS - {"event_id", "other_customer_id"})
            row = connection.execute(
                "SELECT count(*), coalesce(sum(CAST(hash(one) AS HUGEINT)), 0) FROM "
                f"(SELECT {', '.join(kept)} FROM unified.{table} WHERE customer_id IS NULL "
                "OR customer_id NOT IN (SELECT unnest($apart))) AS one",
                {"apart": list(apart)},
            ).fetchone()
            found[table] = row or (0, 0)
    return found


def main(members: int = MEMBERS, count: int = ERASED) -> bool:
    """Erase, search, land again, refresh, search.

    Returns:
        Whether nothing was found, and nobody else changed.
    """
    with bench_home() as bench:
        folder = bench / f"erasure-{members}-{os.getpid()}"
        try:
            return _main(folder, members, count)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _main(folder: Path, members: int, count: int) -> bool:
    home = Home(Paths(folder / "home", "demo"), folder / "retailers")
    paths = home.paths
    shutil.copytree(REPO / "retailers", home.retailers)
    simulate(paths.root / "sources", members)
    home.refresh()
    people = chosen(paths, count)
    subject = find_subject(paths, people)
    values = values_of(paths, subject)
    there = home.found(values)
    earlier = shutil.copyfile(paths.warehouse, folder / "before.duckdb")
    one = home.erase(people[:1])
    many = home.erase(people[1:])
    gone = home.found(values)
    for mapping in (home.retailers / "demo").glob("*.sql"):
        mapping.write_text(f"-- Once more.\n{mapping.read_text('utf-8')}", "utf-8")
    home.refresh()
    back = home.found(values)
    apart = {*subject.customers, *heirs(paths, subject.shared)}
    before, after = of_others(earlier, apart), of_others(paths.warehouse, apart)
    changed = sorted(table for table in before if before[table] != after[table])
    tables = held(paths).tables
    home.refresh("--full")
    other = sorted(name for name, rows in held(paths).tables.items() if tables[name] != rows)
    for said in (
        *gone,
        *back,
        *(f"{name} changed" for name in changed),
        *(f"{n} is other" for n in other),
    ):
        sys.stderr.write(f"{said}\n")
    return report(
        name="erasure",
        value=len(gone) + len(back),
        unit="names and values found after erasing, and after landing the same files again",
        goal=at_most(0, provided=bool(there) and not changed and not other),
        compared_with="the same search before, rows of others before, and a refresh of everything",
        erased=len(people),
        values=len(values),
        found_before=len(there),
        found_after=len(gone),
        found_after_landing_again=len(back),
        tables_of_others_changed=len(changed),
        tables_other_than_made_anew=len(other),
        tables=len(before),
        identifiers_that_others_have_too=len(subject.shared),
        members=members,
        one_cpu_seconds=one.cpu_seconds,
        one_wall_seconds=one.wall_seconds,
        many_cpu_seconds=many.cpu_seconds,
        each_of_many_cpu_seconds=many.cpu_seconds / max(1, count - 1),
    )


if __name__ == "__main__":
    sys.exit(0 if main(*map(int, sys.argv[1:])) else 1)
