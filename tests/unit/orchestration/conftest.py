"""The definitions that the tests of this folder look at: loaded once, for the demo retailer."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from orchestration.definitions import defs
from siyu.transform import ensure_manifest

# In a fresh clone definitions have dbt parse its project first, which starts a process: that is no
# test's doing, and unit tests may not.
ensure_manifest()


@pytest.fixture(scope="session")
def demo() -> dg.Definitions:
    """Everything Dagster knows when nothing is set in the environment."""
    loaded = defs()
    assert isinstance(loaded, dg.Definitions)
    return loaded


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance that keeps nothing."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral
