"""What the pages point to exists, and every dependency has its reason written down."""

import re
import tomllib
from importlib.metadata import Distribution, distributions
from itertools import pairwise
from pathlib import Path

import pytest
from click import Group
from packaging.requirements import Requirement
from typer.main import get_command

from orchestration.__main__ import JOBS
from siyu.cli import app
from siyu.retailer import THRESHOLDS

REPO = Path(__file__).parents[3]
PAGES = sorted([REPO / "README.md", REPO / "CONTRIBUTING.md", *(REPO / "docs").rglob("*.md")])
CODE = "siyu|ml|expectations|orchestration|dbt_project|retailers|benchmarks|docs"
# Tags of runs, and the retailer that a reader is told to make.
NO_PATHS = {
    "siyu/inputs", "siyu/connections", "siyu/alerted",
    "retailers/acme/retailer.yaml", "retailers/acme/orders.sql",
}  # fmt: skip
# text-unidecode may be used under the Artistic License instead, and is.
NOT_UNDER_GPL = {"text-unidecode"}


def _declared() -> list[str]:
    said = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))
    requirements = [
        *said["project"]["dependencies"],
        *said["project"]["optional-dependencies"]["spark"],
        *said["dependency-groups"]["dev"],
    ]
    return [Requirement(requirement).name for requirement in requirements]


def _licence(distribution: Distribution) -> str:
    said = distribution.metadata
    classifiers = said.get_all("Classifier") or []
    return " ".join(
        # Some packages put the whole text, which may mention other licences, in this field.
        [said.get("License-Expression") or "", (said.get("License") or "")[:200]]
        + [line for line in classifiers if line.startswith("License")]
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_links_within_the_repo_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_every_path_that_is_named_exists(page):
    # Paths with a placeholder in them, such as retailers/<name>, are no paths yet.
    named = set(re.findall(rf"`((?:{CODE})/[\w./-]*)`", page.read_text("utf-8"))) - NO_PATHS
    assert [path for path in named if not (REPO / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_every_command_that_is_told_exists(page):
    code = "\n".join(_code(page.read_text("utf-8")))
    targets = re.findall(r"^([a-z-]+):.*## ", (REPO / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z-]+)\b", code)) <= set(targets)
    assert set(re.findall(r"\bpython -m orchestration ([a-z]+)", code)) <= set(JOBS)
    told = set(re.findall(r"\bsiyu ([a-z]+(?: [a-z]+\b)?)", code))
    assert [said for said in told if not _is_command(said.split())] == []


def test_the_readme_names_every_job():
    readme = (REPO / "README.md").read_text("utf-8")
    assert [job for job in JOBS if f"`{job}`" not in readme] == []


def test_the_architecture_names_every_base_module():
    page = (REPO / "docs" / "architecture.md").read_text("utf-8")
    modules = {file.stem for file in (REPO / "siyu").glob("*.py")} - {"__init__", "cli", "summary"}
    assert [name for name in sorted(modules) if f"`{name}`" not in page] == []


def test_the_page_on_gates_names_every_threshold():
    page = (REPO / "docs" / "gates.md").read_text("utf-8")
    rows = {f"| `{name}` | {default:g} |" for name, default in THRESHOLDS.items()}
    assert [row for row in sorted(rows) if row not in page] == []


def _is_command(words):
    """Whether words begin with a command of siyu, that of a group included."""
    command = get_command(app)
    for word in words:
        if not isinstance(command, Group):
            return True  # the rest are its arguments
        if word not in command.commands:
            return False
        command = command.commands[word]
    return not isinstance(command, Group)


def _code(markdown: str) -> list[str]:
    return re.findall(r"```.*?```|`[^`\n]+`", markdown, re.DOTALL)


@pytest.mark.parametrize("name", _declared())
def test_a_dependency_has_its_reason_in_a_decision(name):
    decisions = [file.read_text("utf-8") for file in (REPO / "docs" / "decisions").glob("*.md")]
    assert any(f"`{name}`" in text for text in decisions), f"say why {name} in docs/decisions"


def test_every_upper_bound_says_why_above_it():
    lines = (REPO / "pyproject.toml").read_text("utf-8").splitlines()
    bounded = [
        (before, line.strip())
        for before, line in pairwise(lines)
        if re.match(r'\s+"[\w\[\]-]+(.*,<|==)', line)
    ]
    assert bounded
    assert [line for before, line in bounded if not before.strip().startswith("#")] == []


def test_nothing_that_is_installed_is_under_the_gpl_alone():
    found = {d.name for d in distributions() if re.search(r"GPL|General Public", _licence(d))}
    assert found <= NOT_UNDER_GPL
