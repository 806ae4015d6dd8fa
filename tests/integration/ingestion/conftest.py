"""Fixtures: shops with an input or none."""

from pathlib import Path

import pytest
from made_up_shop import MEMBERS, MEMBERS_CSV, POINTS, POINTS_CSV, Shop, make_shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return make_shop(tmp_path)


@pytest.fixture
def points_shop(shop: Shop) -> Shop:
    """A shop whose points ledger is CSV."""
    shop.input("ledger", **POINTS_CSV)
    shop.mapping("points", POINTS)
    return shop


@pytest.fixture
def members_shop(shop: Shop) -> Shop:
    """A shop whose CRM holds direct identifiers."""
    shop.input("crm", **MEMBERS_CSV)
    shop.mapping("members", MEMBERS)
    return shop
