"""The shops that the tests of this folder look at: built once, read by many."""

from __future__ import annotations

from typing import Any

import broken_shop
import changing_shop
import full_shop
import pytest
from tiny_lake import Shop, shop


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop whose staging and unified layers are built, all tests passed."""
    made = shop(tmp_path_factory.mktemp("built"), full_shop.MAPPED)
    full_shop.fill(made)
    made.register()
    assert made.build("staging").success
    made.identify()
    made.register()
    run = made.build("unified")
    assert run.success, [r for r in run.results if r.status in ("error", "fail")]
    return made


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop with a row for each way to break a rule; nothing is built yet."""
    made = shop(tmp_path_factory.mktemp("broken"), broken_shop.ENTITIES)
    broken_shop.fill(made)
    return made


@pytest.fixture(scope="session")
def found(broken: Shop) -> list[dict[str, Any]]:
    """The violations in the broken shop."""
    return broken_shop.violations(broken)


@pytest.fixture(scope="session")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop whose customers change over time, built without tests."""
    made = shop(tmp_path_factory.mktemp("changing"), changing_shop.MAPPED)
    changing_shop.fill(made)
    made.refresh()
    return made
