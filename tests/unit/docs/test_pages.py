"""What the pages point to exists, and every dependency has its reason written down."""

import re
import tomllib
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPO = Path(__file__).parents[3]
PAGES = sorted([REPO / "README.md", REPO / "CONTRIBUTING.md", *(REPO / "docs").rglob("*.md")])
CODE = "siyu|ml|expectations|orchestration|dbt_project|retailers|benchmarks|docs"
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


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_path_that_is_named_exists(page):
    text = (REPO / page).read_text("utf-8")
    # Paths with a placeholder in them, such as retailers/<name>, are no paths yet.
    named = re.findall(rf"`((?:{CODE})/[\w./-]*)`", text)
    assert named
    assert [path for path in named if not (REPO / path).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_make_command_exists(page):
    targets = re.findall(r"^([a-z-]+):.*## ", (REPO / "Makefile").read_text("utf-8"), re.MULTILINE)
    told = re.findall(r"\bmake ([a-z-]+)\b", "\n".join(_code((REPO / page).read_text("utf-8"))))
    assert told
    assert set(told) <= set(targets)


def _code(markdown: str) -> list[str]:
    return re.findall(r"```.*?```|`[^`\n]+`", markdown, re.DOTALL)


@pytest.mark.parametrize("name", _declared())
def test_a_dependency_has_its_reason_in_a_decision(name):
    decisions = [file.read_text("utf-8") for file in (REPO / "docs" / "decisions").glob("*.md")]
    assert any(f"`{name}`" in text for text in decisions), f"say why {name} in docs/decisions"


def test_nothing_that_is_installed_is_under_the_gpl_alone():
    found = {d.name for d in distributions() if re.search(r"GPL|General Public", _licence(d))}
    assert found <= NOT_UNDER_GPL
