"""Whose a row is, is said once more in the SQL of facts: the two must agree."""

import re

import pytest

from siyu.config import REPO
from siyu.contracts import contract
from siyu.privacy.subject import strongest_first

MODELS = REPO / "dbt_project" / "models" / "unified"
COLUMNS = {
    "member": "member_id",
    "buyer": "buyer_id",
    "external": "external_userid",
    "phone": "phone_token",
}


@pytest.mark.parametrize(
    ("entity", "model"),
    [("orders", "sales/fct_order.sql"), ("interactions", "engagement/fct_interaction.sql")],
)
def test_the_strongest_identifier_is_the_one_that_facts_go_by(entity: str, model: str) -> None:
    sql = (MODELS / model).read_text("utf-8")
    (decides, *_) = re.findall(r"coalesce\(([^)]*)\) as customer_id", sql)
    by = re.findall(r"by_(\w+)\.customer_id", decides)
    assert [COLUMNS.get(name, name) for name in by] == strongest_first(contract(entity))


@pytest.mark.parametrize(
    ("entity", "first"),
    [("members", "member_id"), ("contacts", "external_userid"), ("group_members", "userid")],
)
def test_what_a_row_is_kept_by_says_whose_it_is(entity: str, first: str) -> None:
    assert strongest_first(contract(entity))[0] == first
