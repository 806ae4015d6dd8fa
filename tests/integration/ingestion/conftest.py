"""Fixtures: shops with an input or none, and a database for those who ask one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from made_up_shop import MEMBERS, MEMBERS_CSV, POINTS, POINTS_CSV, Shop, make_shop
from temporary_postgres import Server, binaries, running_server


@pytest.fixture(scope="session")
def database() -> Iterator[Server]:
    """A PostgreSQL of this machine's packages, started for the tests."""
    programs = binaries()
    if programs is None:
        pytest.skip("no PostgreSQL: install the package postgresql")
    with running_server(programs) as started:
        yield started


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
