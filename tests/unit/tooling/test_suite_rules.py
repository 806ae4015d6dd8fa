"""The rules that tests/conftest.py lays on the suite itself, each shown to bite."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from _pytest.outcomes import Failed

CONFTEST = Path(__file__).parents[2] / "conftest.py"
REPO = CONFTEST.parents[1]

PASSES = "def test_passes():\n    pass\n"


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """An empty suite under the real rules."""
    pytester.makeini("[pytest]\nmarkers =\n    spark: x\n    real_data: x\n")
    _put(pytester, "conftest.py", CONFTEST.read_text())
    return pytester


def _put(suite: pytest.Pytester, name: str, text: str) -> None:
    file = suite.path / "tests" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_unit_test_cannot_start_a_process():
    with pytest.raises(Failed, match="neither network nor processes"):
        subprocess.run([sys.executable, "-c", ""], check=True)


def test_a_unit_test_cannot_run_a_shell_command():
    with pytest.raises(Failed, match="neither network nor processes"):
        os.system("true")


def test_a_unit_test_cannot_open_a_connection():
    with socket.socket() as connection, pytest.raises(Failed, match="neither network"):
        connection.connect(("127.0.0.1", 9))


def test_a_unit_test_cannot_look_a_host_up():
    with pytest.raises(Failed, match="neither network nor processes"):
        socket.getaddrinfo("localhost", 80)


def test_tests_work_outside_the_repo():
    home = Path(os.environ["SIYU_HOME"])
    assert home.is_dir()
    assert not home.is_relative_to(REPO)


@pytest.mark.parametrize("setting", ["SIYU_RETAILER", "SIYU_ENGINE", "SIYU_AS_OF"])
def test_a_developers_own_settings_are_not_seen(setting):
    assert setting not in os.environ


def test_a_test_inside_a_tier_is_collected(suite):
    for tier in ("unit", "integration", "pipeline"):
        _put(suite, f"{tier}/test_of_{tier}.py", PASSES)
    suite.runpytest_inprocess().assert_outcomes(passed=3)


def test_a_test_outside_every_tier_is_an_error_and_nothing_runs(suite):
    _put(suite, "test_stray.py", PASSES)
    _put(suite, "unit/test_inner.py", PASSES)
    result = suite.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines("*in no tier*")


def test_files_that_take_long_come_first_and_the_longest_before_the_others(suite):
    for name in ("test_alone.py", "test_fuzz.py", "test_killed.py"):
        _put(suite, f"unit/{name}", PASSES)
    result = suite.runpytest_inprocess("-v")
    result.stdout.fnmatch_lines(
        [f"tests/unit/test_{name}.py::*" for name in ("killed", "fuzz", "alone")]
    )


def test_every_file_that_is_to_come_first_is_there(request):
    (rules,) = (
        plugin
        for plugin in request.config.pluginmanager.get_plugins()
        if getattr(plugin, "__file__", None) == str(CONFTEST)
    )
    assert set(rules.SLOWEST) <= {file.name for file in CONFTEST.parent.rglob("test_*.py")}


def test_a_unit_test_that_asks_for_real_data_or_spark_fails(suite):
    asks = ("def test_fixture(real_data): pass", "def test_data(): pass", "def test_spark(): pass")
    marks = ("", "@pytest.mark.real_data", "@pytest.mark.spark")
    tests = [f"{mark}\n{ask}\n" for mark, ask in zip(marks, asks, strict=True)]
    _put(suite, "unit/test_inner.py", "".join(["import pytest\n", *tests]))
    result = suite.runpytest_inprocess()
    # Outcomes of the set-up phase are errors.
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines("*needs neither Spark nor real data*")


def test_a_test_on_real_data_says_why_it_is_skipped(suite, monkeypatch):
    monkeypatch.delenv("SIYU_DATA", raising=False)
    _put(suite, "integration/test_inner.py", "def test_reads(real_data):\n    pass\n")
    result = suite.runpytest_inprocess("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines("*SIYU_DATA is not set*")


def test_a_spark_test_says_why_it_is_skipped_without_java(suite, monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(suite.path))
    _put(suite, "integration/test_inner.py", f"import pytest\n@pytest.mark.spark\n{PASSES}")
    result = suite.runpytest_inprocess("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines("*Spark needs Java*")
