"""The shop that the tests of this folder look at: built once, read by many."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# The hand-written lake is shared with the tests of the layers below.
sys.path.insert(0, str(Path(__file__).parents[1] / "transform"))

from marts_shop import MAPPED, fill
from tiny_lake import Shop, shop


@pytest.fixture(scope="session")
def sold(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop whose marts and what they stand on are built, all tests passed."""
    made = shop(tmp_path_factory.mktemp("sold"), MAPPED)
    fill(made)
    made.register()
    assert made.build("staging").success
    made.identify()
    made.register()
    run = made.build("unified", "marts")
    assert run.success, [r for r in run.results if r.status in ("error", "fail")]
    return made
