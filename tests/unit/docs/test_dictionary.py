"""The generated data dictionary says what the contracts and dbt models say, and is current."""

from pathlib import Path

import pytest

from ml.tables import ml_models
from siyu.contracts import contracts
from siyu.dictionary import FILE, DictionaryError, dictionary, read_models, write
from siyu.serving import ops_models

DESCRIBED = """
models:
  - name: fct_visit
    description: One row per visit.
    config: {meta: {zh: 到店}}
    columns:
      - name: visit_id
        data_type: string
        description: Visit | number
        config: {meta: {zh: 到店编号}}
"""


def _models(folder: Path, text: str) -> Path:
    file = folder / "unified" / "visits" / "_visits.yml"
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def page() -> str:
    return dictionary([*ml_models(), *ops_models()])


def test_the_committed_page_is_current(page):
    current = FILE.is_file() and FILE.read_text("utf-8") == page
    assert current, f"{FILE.name} is out of date: run `siyu generate` and commit it"


@pytest.mark.parametrize("entity", contracts())
def test_every_stored_column_of_an_entity_is_in_its_section(page, entity):
    section = page.split(f"### {entity}\n")[1].split("\n### ")[0]
    stored = [column.name for column in contracts()[entity].lake_columns if column.origin]
    assert [name for name in stored if f"`{name}`" not in section] == []


def test_a_column_is_shown_with_its_unit(page):
    section = page.split("### points\n")[1].split("\n### ")[0]
    assert "Balance after the entry. In points." in section


def test_tables_that_python_makes_have_their_sections(page):
    made = {f"{model.layer}.{model.name}" for model in (*ml_models(), *ops_models())}
    assert {"ml.customer_scores", "ml.model_metrics", "ops.gate_result"} < made
    assert [table for table in sorted(made) if f"\n### {table}\n" not in page] == []


def test_references_lead_to_sections_of_the_page(page):
    targets = {ref.entity for found in contracts().values() for ref in found.references}
    assert [name for name in targets if f"\n### {name}\n" not in page] == []


def test_a_model_is_shown_with_both_languages(tmp_path):
    page = dictionary(models=_models(tmp_path, DESCRIBED))
    assert "### unified.fct_visit\n\nOne row per visit.<br>到店\n" in page
    assert "| `visit_id` | string | Visit \\| number | 到店编号 |" in page


def test_a_working_table_is_not_shown(tmp_path):
    page = dictionary(
        models=_models(tmp_path, DESCRIBED.replace("zh: 到店}", "zh: 到店, working: true}"))
    )
    assert "fct_visit" not in page


def test_a_model_without_columns_is_no_table(tmp_path):
    step = DESCRIBED.replace("fct_visit", "visit_step").partition("    columns:")[0]
    folder = _models(tmp_path, DESCRIBED + step.partition("models:\n")[2])
    assert [model.name for model in read_models(folder)] == ["fct_visit"]


def test_a_layer_without_models_is_left_out(tmp_path):
    assert "## Marts" not in dictionary(models=_models(tmp_path, DESCRIBED))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (("description: One row per visit.", ""), "fct_visit: give it a description"),
        (("    config: {meta: {zh: 到店}}\n", ""), "fct_visit: give it a Chinese description"),
        (("data_type: string", ""), "fct_visit.visit_id: give it a data_type"),
        (("{meta: {zh: 到店编号}}", "{}"), "visit_id: give it a Chinese description"),
    ],
)
def test_what_is_not_described_is_named_with_its_file(tmp_path, fault, said):
    folder = _models(tmp_path, DESCRIBED.replace(*fault))
    with pytest.raises(DictionaryError, match=f"_visits.yml: .*{said}"):
        read_models(folder)


def test_the_page_is_written_where_it_is_asked_for(page, tmp_path):
    file = write([*ml_models(), *ops_models()], tmp_path / "page.md")
    assert file.read_text("utf-8") == page
