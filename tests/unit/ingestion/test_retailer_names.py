"""A name in retailer.yaml that means nothing is refused, so that no gate is believed in that is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from siyu.contracts import contracts, integrity_rules
from siyu.retailer import THRESHOLDS, Retailer, RetailerError, read_retailer


def _shop(folder: Path, **settings: Any) -> Retailer:
    said = {
        "name": "shop", "en": "Shop", "zh": "店", "timezone": "Asia/Shanghai", "currency": "CNY",
        "history_from": "2026-01-01", "identifiers": {}, "models": {}, "inputs": {}, **settings,
    }  # fmt: skip
    folder = folder / "shop"
    folder.mkdir()
    (folder / "retailer.yaml").write_text(yaml.safe_dump(said), "utf-8")
    return read_retailer(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"entities": {"order_line": {"min_rows": 9}}}, "no such entity order_line; did you mean order_lines?"),
        ({"gates": {"min_order_coverag": 0.9}}, "gates: Value error, no such threshold min_order_coverag; did you mean min_order_coverage?"),
        ({"gates": {"max_order_key_unique": 0}}, "did you mean max_orders_key_unique?"),
        ({"gates": {"colour": 0}}, "no such threshold colour; known: min_order_coverage, "),
        ({"name": "store"}, "retailer.yaml: name: store is in a folder shop"),
    ],
)  # fmt: skip
def test_a_name_that_means_nothing_is_refused_with_the_nearest_that_does(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(RetailerError) as refused:
        _shop(tmp_path, **settings)
    assert str(tmp_path / "shop" / "retailer.yaml") in str(refused.value)
    assert message in str(refused.value)


def test_a_mapping_of_no_entity_is_refused_with_the_nearest_that_is_one(tmp_path: Path) -> None:
    shop = _shop(tmp_path)
    (shop.folder / "order.sql").touch()
    with pytest.raises(RetailerError, match=r"no such entity order; did you mean orders\?"):
        _ = shop.mappings


def test_every_entity_and_every_threshold_may_be_named(tmp_path: Path) -> None:
    gates = {**THRESHOLDS, **{f"max_{rule}": 7 for rule in integrity_rules()}}
    shop = _shop(tmp_path, gates=gates, entities={name: {"min_rows": 2} for name in contracts()})
    assert shop.gates == gates
    assert shop.entity("orders").min_rows == 2


def test_a_threshold_is_what_the_retailer_says_or_its_default(tmp_path: Path) -> None:
    shop = _shop(tmp_path, gates={"min_order_coverage": 0.75})
    assert shop.threshold("min_order_coverage") == 0.75
    assert shop.threshold("min_customers") == THRESHOLDS["min_customers"]
