"""The page on the public data sets makes the files that the retailers read."""

import re
from pathlib import Path

import pytest

from siyu.retailer import read_retailer

REPO = Path(__file__).parents[3]
PAGE = (REPO / "docs" / "public-data-sets.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["uci_online_retail", "complete_journey"])
def test_every_input_is_a_file_that_the_page_makes(name):
    written = set(re.findall(r"\$SIYU_DATA(/[\w/.$]+\.parquet)", PAGE))
    names = re.search(r"for name in ([\w ]+);", PAGE).group(1).split()
    made = {path.replace("$name", name) for path in written for name in names}
    inputs = read_retailer(REPO / "retailers" / name).inputs.values()
    assert {found.location.removeprefix("${SIYU_DATA}") for found in inputs} <= made
