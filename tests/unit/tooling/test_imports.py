"""Imports run one way: orchestration → ml, expectations → siyu; parts of siyu → its base modules.

And nothing but the simulator knows of the truth that it writes.
"""

import ast
import re
from pathlib import Path

import pytest

REPO = Path(__file__).parents[3]
PACKAGES = ("orchestration", "ml", "expectations", "siyu")
# It knows the truth about its customers, which no product code may.
SIMULATOR = "siyu.simulator"
STAGES = ("siyu.ingestion", "siyu.identity", "siyu.serving", "siyu.privacy", SIMULATOR)
# The command and what it prints bring the parts together, so they may import any of them.
COMPOSERS = ("siyu.cli", "siyu.summary")

MODULES = {
    ".".join(file.relative_to(REPO).with_suffix("").parts).removesuffix(".__init__"): file
    for package in PACKAGES
    for file in sorted((REPO / package).rglob("*.py"))
}


# What a run of the product is made of, the simulator apart.
PRODUCT = {
    str(file.relative_to(REPO)): file
    for folder in (*PACKAGES, "dbt_project", "retailers")
    for file in sorted((REPO / folder).rglob("*"))
    if file.suffix in (".py", ".sql", ".yaml", ".yml")
    and not file.is_relative_to(REPO / "siyu" / "simulator")
    and "target" not in file.parts
}


def names_truth(text: str) -> bool:
    """Whether a file names the folder of what really was, as a path or as a part of one."""
    return re.search(r"""\btruth[/"']|[/"']truth\b""", text) is not None


def imported(source: str) -> set[str]:
    """Every module that a source names in an import, wherever in the file it stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def forbidden(module: str) -> tuple[str, ...]:
    """What a module may not import."""
    if module in COMPOSERS:
        return ("dagster", "orchestration")
    package = module.partition(".")[0]
    if package == "orchestration":
        return (*COMPOSERS, SIMULATOR)
    if package in ("ml", "expectations"):
        others = tuple(name for name in ("ml", "expectations") if name != package)
        return ("dagster", "orchestration", *COMPOSERS, SIMULATOR, *others)
    own = next((stage for stage in STAGES if _within(module, stage)), None)
    stages = tuple(stage for stage in STAGES if stage != own)
    return ("dagster", "orchestration", "ml", "expectations", *COMPOSERS, *stages)


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def broken(module: str, source: str) -> list[str]:
    """The imports of a source that its place forbids."""
    return sorted(
        name
        for name in imported(source)
        if any(_within(name, package) for package in forbidden(module))
    )


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_lies_below_it(module):
    assert broken(module, MODULES[module].read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("siyu.serving.publication", "from siyu.identity import resolution"),
        ("siyu.warehouse", "def f():\n    import dagster as dg"),
        ("siyu.lake", "from siyu import ingestion"),
        ("ml.training", "from expectations.runner import run"),
        ("expectations.runner", "import orchestration.lib.gates"),
        ("orchestration.definitions", "from siyu.cli import app"),
        ("orchestration.defs.ingest.lake", "from siyu.simulator.parameters import DIRT"),
        ("ml.training", "def f():\n    from siyu import simulator"),
        ("expectations.runner", "import siyu.simulator.truth"),
        ("siyu.identity.resolution", "from siyu.simulator import simulate"),
        ("siyu.privacy.erasure", "from siyu.ingestion.raw import RawStore"),
    ],
)
def test_an_import_upwards_or_sideways_is_found(module, source):
    assert broken(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("orchestration.definitions", "import dagster\nfrom ml import training"),
        ("siyu.identity.store", "from siyu.identity.resolution import resolve\nimport siyu.paths"),
        ("siyu.cli", "from siyu import ingestion, serving\nimport expectations"),
    ],
)
def test_an_import_downwards_is_fine(module, source):
    assert broken(module, source) == []


def test_no_product_code_names_the_truth() -> None:
    assert [name for name, file in PRODUCT.items() if names_truth(file.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    "text",
    [
        'home / "demo" / "sources" / "truth" / "people.parquet"',
        "FROM read_parquet('${SIYU_HOME}/demo/sources/truth/orders.parquet')",
        "location: sources/truth",
        "folder = 'truth'",
    ],
)
def test_a_path_to_the_truth_is_found(text: str) -> None:
    assert names_truth(text)
