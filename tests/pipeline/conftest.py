"""One first refresh for all processes that run these tests."""

from __future__ import annotations

import os
import pickle

import pytest
from filelock import FileLock
from first_refresh import Refreshed, refresh_tiny


@pytest.fixture(scope="session")
def refreshed(tmp_path_factory: pytest.TempPathFactory) -> Refreshed:
    """The tiny retailer after its first refresh; the process that comes first makes it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Beside this process's folder are those of the others.
        folder = folder.parent
    record = folder / "refreshed.pickle"
    with FileLock(folder / "refreshed.lock"):
        if not record.exists():
            record.write_bytes(pickle.dumps(refresh_tiny(folder / "refreshed")))
        found: Refreshed = pickle.loads(record.read_bytes())
    return found
