"""Whether a direct identifier gets out: planted values are looked for in every file of a home.

``python -m benchmarks canary`` runs the full size; ``python -m benchmarks.canary 150`` a small trial.

A small demo retailer whose files hold made-up people: their phones, names, e-mails, addresses and birth
dates stand where they belong, in rows that break rules, in records that cannot be read, in a new column,
in remarks and in texts that somebody typed. It is refreshed, with training and the publication; then
a mapping that breaks on their values and rows above a threshold make two refreshes fail; then a last one
succeeds. Every file below ``SIYU_HOME`` is then searched in several spellings, freed pages and
old files included. Only the sources, which are the retailer's own, and the vault, which is encrypted,
are left out; that the search finds all of them in the sources shows that it can.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks._report import at_most, measured, report
from benchmarks._runs import SETTINGS, bench_home
from siyu.config import REPO
from siyu.paths import Paths
from siyu.privacy.search import Finder
from siyu.simulator import simulate

MEMBERS = 500
PLANTED = 24
_SURNAMES = ("欧阳", "司徒", "上官", "诸葛", "慕容", "夏侯")
_GIVEN = ("瑾瑜", "慕白", "清晏", "若璇")


@dataclass(frozen=True)
class Person:
    """A made-up person whom no other row stands for."""

    number: int

    @property
    def phone(self) -> str:
        """A mobile number of a range that the simulator does not use."""
        return f"1739{self.number * 7_919 + 1_234_567:07d}"

    @property
    def name(self) -> str:
        """A name that no two of them share."""
        n = self.number
        return f"{_SURNAMES[n % len(_SURNAMES)]}{_GIVEN[n // len(_SURNAMES) % len(_GIVEN)]}"

    @property
    def email(self) -> str:
        """An address of a mailbox."""
        return f"canary.{self.number:03d}@planted-mail.cn"

    @property
    def born(self) -> str:
        """A day of birth, in ISO form."""
        return f"19{51 + self.number:02d}-11-{1 + self.number:02d}"

    @property
    def address(self) -> str:
        """A postal address."""
        return f"金丝雀市栖霞路{self.number + 8_101}号"

    def values(self) -> Iterator[tuple[str, str]]:
        """Each value under a label that does not give it away."""
        for kind in ("phone", "name", "email", "born", "address"):
            yield f"{kind} {self.number}", str(getattr(self, kind))


def plant(sources: Path) -> dict[str, str]:
    """Write made-up people into a retailer's files; their values by label."""
    people = [Person(number) for number in range(PLANTED)]
    _into_members(sources / "crm" / "members.csv", people)
    _into_feedback(sources / "crm" / "feedback.csv", people)
    _into_contacts(sources / "wecom", people)
    return {label: value for person in people for label, value in person.values()}


def _into_members(file: Path, people: list[Person]) -> None:
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    columns = list(rows[0])
    # Several states of one member are several rows: each shall say the same.
    numbers = list(dict.fromkeys(row["member_no"] for row in rows))[: 3 * len(people) : 3]
    person_of = dict(zip(numbers, people, strict=True))
    for row in rows:
        if (person := person_of.get(row["member_no"])) is None:
            continue
        row |= {
            "name": person.name, "mobile": person.phone, "email": person.email,
            "birthday": person.born, "address": person.address,
        }  # fmt: skip
        kind = person.number % 4
        if kind == 1:
            row["birthday"] = f"{person.born} or so"  # quarantined
        elif kind == 2:
            row["member_no"] = ""  # quarantined too
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, columns)
        writer.writeheader()
        writer.writerows(rows)
        for person in people[3::4]:
            # A record that is longer than the header, and so cannot be read.
            opened.write(f"{','.join(value for _, value in person.values())}{',' * len(columns)}\n")


def _into_feedback(file: Path, people: list[Person]) -> None:
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    for row, person in zip(rows, people, strict=False):
        row["content"] = f"请打 {person.phone} 或写信到 {person.email}"
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def add_column(sources: Path) -> None:
    """Have the members' file bring a column that nobody has mapped."""
    file = sources / "crm" / "members.csv"
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(
            opened, [*list(rows[0])[:18], "called_at_home"], extrasaction="ignore"
        )
        writer.writeheader()
        writer.writerows(
            {**row, "called_at_home": f"{row['name']} {row['mobile']}"} for row in rows
        )


def _into_contacts(folder: Path, people: list[Person]) -> None:
    """Staff's remarks: names and phones of the contacts on the first page."""
    file = min(folder.glob("contacts_*.jsonl"))
    page, *rest = file.read_text("utf-8").splitlines()
    said = json.loads(page)
    for entry, person in zip(said["external_contact_list"], people, strict=False):
        entry["external_contact"]["name"] = person.name
        entry["follow_info"]["remark_mobiles"] = [person.phone]
    file.write_text("\n".join([json.dumps(said, ensure_ascii=False), *rest]) + "\n", "utf-8")


class _Job:
    """The retailer's jobs, in processes of their own."""

    def __init__(self, home: Path, retailers: Path) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if name not in SETTINGS},
            "SIYU_HOME": str(home), "SIYU_RETAILER": "demo", "SIYU_RETAILERS": str(retailers),
        }  # fmt: skip
        # What a run prints may be kept by whoever starts it: it is searched too.
        self.log = home / "printed.log"

    def refresh(self) -> bool:
        """Whether a refresh succeeded."""
        with self.log.open("ab") as log:
            done = subprocess.run(
                [sys.executable, "-m", "orchestration", "refresh"], cwd=REPO, check=False,
                env=self._environment, stdout=log, stderr=log,
            )  # fmt: skip
        return done.returncode == 0


def story(home: Path, retailers: Path) -> None:
    """A refresh, one that breaks on the values, one that the gates stop, and one that succeeds.

    Raises:
        RuntimeError: one of them did not end as it should.
    """
    job, folder = _Job(home, retailers), retailers / "demo"
    ended = [job.refresh()]
    mapping = folder / "members.sql"
    text = mapping.read_text("utf-8")
    mapping.write_text(text.replace("mobile AS phone", "CAST(mobile AS TINYINT)::VARCHAR AS phone"))
    ended.append(job.refresh())
    add_column(home / "demo" / "sources")
    settings = folder / "retailer.yaml"
    said = settings.read_text("utf-8")
    settings.write_text(said.replace("max_quarantined_share: 0.02", "max_quarantined_share: 0.0"))
    mapping.write_text(text.replace("email,", "lower(email) AS email,"))
    ended.append(job.refresh())
    settings.write_text(said)
    ended.append(job.refresh())
    if ended != [True, False, False, True]:
        raise RuntimeError(f"refreshes ended {ended}; see {job.log}")


def main(members: int = MEMBERS) -> bool:
    """Plant, run and search.

    Returns:
        Whether nothing was found outside the sources and the vault.
    """
    with bench_home() as bench:
        folder = bench / f"canary-{members}-{os.getpid()}"
        try:
            return _main(folder, members)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _main(folder: Path, members: int) -> bool:
    paths = Paths(folder / "home", "demo")
    sources, retailers = paths.root / "sources", folder / "retailers"
    shutil.copytree(REPO / "retailers", retailers)
    settings = retailers / "demo" / "retailer.yaml"
    # Planted rows that break rules are more than a hundredth of so few.
    said, usual = settings.read_text("utf-8"), "members: {max_quarantined_share: 0.02"
    settings.write_text(said.replace(usual, "members: {max_quarantined_share: 0.5"))
    simulate(sources, members)
    values = plant(sources)
    story(paths.home, retailers)
    finder = Finder(values)
    in_sources = {find.label for find in finder.below(sources)}
    with measured() as cost:
        found = finder.below(paths.home, (sources, paths.keys, paths.vault))
    for find in found:
        sys.stderr.write(f"{find.label} in {find.file.relative_to(paths.home)}\n")
    files = [file for file in paths.home.rglob("*") if file.is_file()]
    return report(
        name="canary",
        value=len(found),
        unit="values found outside the vault and the sources",
        goal=at_most(0, provided=in_sources == set(values)),
        compared_with="the same search in the sources, which finds all of them",
        planted=len(values),
        found_in_sources=len(in_sources),
        files=len(files),
        searched_bytes=sum(file.stat().st_size for file in files),
        members=members,
        search_cpu_seconds=cost.cpu_seconds,
    )


if __name__ == "__main__":
    sys.exit(0 if main(*map(int, sys.argv[1:])) else 1)
