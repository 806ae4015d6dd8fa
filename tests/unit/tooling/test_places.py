"""Where a retailer's data lies is said in one place, and each of them is backed up or can be made again."""

import re
from pathlib import Path

import pytest

from siyu.backup import places
from siyu.paths import Paths

REPO = Path(__file__).parents[3]
PATHS = Paths(Path("/home"), "shop")
# A refresh, or whoever starts Dagster, makes these; a lock and what landings spill have no content.
MADE_AGAIN = {"warehouse", "spark-warehouse", "dbt", "serving", "dagster", "tmp", "writer.lock"}
# Never beside what they open.
APART = {"keys"}


def _names() -> set[str]:
    """What lies below a retailer's folder."""
    places = [
        getattr(PATHS, name) for name, one in vars(Paths).items() if isinstance(one, property)
    ]
    return {
        place.relative_to(PATHS.root).parts[0]
        for place in places
        if place != PATHS.root and place.is_relative_to(PATHS.root)
    }


def test_what_is_not_backed_up_can_be_made_again() -> None:
    kept = {place.name for _, place in places(PATHS) if place.parent == PATHS.root}
    assert kept.isdisjoint(MADE_AGAIN | APART)
    assert kept | MADE_AGAIN | APART == _names()


@pytest.mark.parametrize("package", ["siyu", "orchestration", "ml", "expectations"])
def test_nothing_lies_where_paths_does_not_say(package: str) -> None:
    sources = [file for file in (REPO / package).rglob("*.py") if file.name != "paths.py"]
    found = [
        f"{file.relative_to(REPO)}: {line.strip()}"
        for file in sources
        for line in file.read_text("utf-8").splitlines()
        if re.search(r"paths(\.|\(\w+\)\.)root\s*/", line)
    ]
    assert sources
    assert found == []
