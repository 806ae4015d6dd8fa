"""What holds for every test: its tier, its environment, and what a unit test may not touch.

What belongs here: rules for the whole test suite and fixtures that any tier may ask for. What does
not: data or helpers of one area, which live beside its tests.

Tiers are folders. ``unit`` tests read and write nothing but ``tmp_path``: no network, no other
process, no real data. ``integration`` tests hold one component against its real part. ``pipeline``
tests run the whole job on small data.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import urllib3  # noqa: F401 - tries IPv6 when first imported, which a unit test must not be blamed for
from hypothesis import HealthCheck, settings

# Lets the rules below be tested on a made-up suite.
pytest_plugins = ("pytester",)

TESTS = Path(__file__).parent
TIERS = ("unit", "integration", "pipeline")
SPARK_CONF = TESTS / "integration" / "transform" / "spark_conf"

# A developer's own settings must not change what a test sees.
FORGOTTEN = (
    "DAGSTER_HOME",
    "MLFLOW_TRACKING_URI",
    "SIYU_AS_OF",
    "SIYU_ENGINE",
    "SIYU_RETAILER",
    "SIYU_RETAILERS",
)
SILENCED = {
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DO_NOT_TRACK": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
# What CPython announces before it reaches out of the process. Code inside compiled libraries
# (DuckDB, Arrow) is not seen, so this guards against mistakes, not against intent.
REACHES_OUT = frozenset(
    {
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.system",
        "socket.bind",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "socket.sendto",
        "subprocess.Popen",
    }
)

# Files that take longest, first the longest: dealt out in this order, no process is left alone with
# one at the end. The first of pipeline makes the refresh from which another goes on, and would wait.
SLOWEST = (
    "test_killed.py",
    "test_spark.py",
    "test_order_lines_only.py",
    "test_refresh.py",
    "test_incremental.py",
    "test_starting_over.py",
    "test_maintenance.py",
    "test_dbt_gates.py",
    "test_ml_steps.py",
    "test_unchanged_layers.py",
    "test_gate_rules.py",
    "test_fuzz.py",
)

# Wall time says how busy the machine is, not whether a property holds.
settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any-machine")

_environment = pytest.StashKey[pytest.MonkeyPatch]()
_running_unit_test: str | None = None


def pytest_configure(config: pytest.Config) -> None:
    """Set the environment before any test module, and so any library, is imported."""
    environment = config.stash[_environment] = pytest.MonkeyPatch()
    for name in FORGOTTEN:
        environment.delenv(name, raising=False)
    for name, value in SILENCED.items():
        environment.setenv(name, value)
    home = tempfile.mkdtemp(prefix="siyu-tests-")
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    environment.setenv("SIYU_HOME", home)
    environment.setenv("SPARK_CONF_DIR", str(SPARK_CONF))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Put the environment back, for whoever runs pytest inside a process."""
    config.stash[_environment].undo()


class _Misplaced(pytest.Module):
    """A test file in no tier; a fault of collection, so that nothing runs until it is moved."""

    def collect(self) -> Iterable[pytest.Item]:
        raise self.CollectError(f"in no tier: move it below tests/{{{','.join(TIERS)}}}")


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> _Misplaced | None:
    """Refuse a test file that is in no tier."""
    if _tier(module_path) is None:
        return _Misplaced.from_parent(parent, path=module_path)
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first; the rest stay in their order."""
    place = {name: number for number, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was imported, which stays: a tenth of the CPU time."""
    gc.collect()
    gc.freeze()
    # By default it looks after every 700 objects, and a parsed dbt project is made of a million.
    gc.set_threshold(20_000, 10, 50)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a unit test that needs more than it may; skip what this machine cannot run."""
    needs_spark = item.get_closest_marker("spark") is not None
    fixtures = getattr(item, "fixturenames", ())
    needs_data = "real_data" in fixtures or item.get_closest_marker("real_data") is not None
    if _tier(item.path) == "unit" and (needs_spark or needs_data):
        pytest.fail("a unit test needs neither Spark nor real data: move it below integration")
    missing = list(_missing_for_spark()) if needs_spark else []
    if missing:
        pytest.skip(f"Spark needs {' and '.join(missing)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Mark the time during which a unit test, fixtures included, is running."""
    global _running_unit_test
    _running_unit_test = item.nodeid if _tier(item.path) == "unit" else None
    try:
        return (yield)
    finally:
        _running_unit_test = None


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the public data sets; the test is skipped when ``SIYU_DATA`` names none."""
    said = os.environ.get("SIYU_DATA")
    if not said:
        pytest.skip("SIYU_DATA is not set: it names the folder of the public data sets")
    folder = Path(said)
    if not folder.is_dir():
        pytest.fail(f"SIYU_DATA is {said}: no such folder")
    return folder


@pytest.fixture
def full_disk() -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """A context in which no file can grow beyond 50 kB.

    A limit on the size of files stands for a full disk: the kernel refuses to write on, as it does
    then.
    """
    # Without a handler of its own the process would be killed instead of told.
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    @contextmanager
    def limited() -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    yield limited
    signal.signal(signal.SIGXFSZ, before)


def _tier(path: Path) -> str | None:
    """The tier a test file is in, or None."""
    if not path.is_relative_to(TESTS):
        return None
    first = path.relative_to(TESTS).parts[0]
    return first if first in TIERS else None


def _missing_for_spark() -> Iterable[str]:
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        yield "Java 17 or newer"
    if importlib.util.find_spec("pyspark") is None:
        yield "the spark extra (uv sync --frozen --extra spark)"


def _guard(event: str, _arguments: tuple[object, ...]) -> None:
    if _running_unit_test is not None and event in REACHES_OUT:
        # Failed is no Exception, so that code under test cannot catch it and carry on.
        pytest.fail(
            f"{_running_unit_test}: {event}: a unit test uses neither network nor processes; "
            "move it below tests/integration"
        )


sys.addaudithook(_guard)
