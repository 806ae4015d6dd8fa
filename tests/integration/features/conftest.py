"""The shop that the tests of this folder look at: built once, read or copied by many."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# The hand-written lake is shared with the tests of the layers below.
sys.path.insert(0, str(Path(__file__).parents[1] / "transform"))

from busy_shop import FeatureShop, busy_shop


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory) -> FeatureShop:
    """A shop with late rows, versions and every source but groups; its features are built."""
    made = busy_shop(tmp_path_factory.mktemp("busy"))
    made.build_all()
    return made
