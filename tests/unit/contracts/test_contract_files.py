"""A contract file that contradicts itself, or the others, is refused with its name and the fault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from siyu.contracts import ContractError, contract, contracts, model

SHOPS = """
entity: shops
en: Shops
zh: 门店
key: [shop_id]
columns:
  shop_id: {type: string, en: Shop, zh: 门店, required: true}
  city: {type: string, en: City, zh: 城市}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder of contracts in place of siyu's own."""
    entities = tmp_path / "entities"
    entities.mkdir()
    monkeypatch.setattr(model.resources, "files", lambda _: tmp_path)
    contracts.cache_clear()
    yield entities
    monkeypatch.undo()
    contracts.cache_clear()


def test_a_contract_that_fits_together_is_read(folder: Path) -> None:
    (folder / "shops.yaml").write_text(SHOPS, "utf-8")
    assert contract("shops").key == ("shop_id",)


@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        ("key: [shop_id]", "key: [shop]", "no such column: shop"),
        ("key: [shop_id]", "key: [shop_id]\nversion: updated_at", "no such column: updated_at"),
        ("key: [shop_id]", "key: [shop_id]\nevent_time: opened", "no such column: opened"),
        ("key: [shop_id]", "key: [city]", "key columns must be required: city"),
        ("columns:", "references: [{columns: [area], entity: shops}]\ncolumns:", "no such column: area"),
        ("columns:", "references: [{columns: [city], entity: towns}]\ncolumns:", "refers to unknown towns"),
        ("entity: shops", "entity: stores", "says it is stores"),
        ("zh: 城市", "zh: 城市, pii: direct", "city: pii: direct and kind: go together"),
        ("zh: 城市", "zh: 城市, kind: phone", "city: pii: direct and kind: go together"),
        ("zh: 城市", "zh: 城市, pii: secret", "pii"),
        ("type: string, en: City", "type: text, en: City", "type"),
        ("zh: 城市", "zh: 城市, colour: red", "colour"),
        ("en: Shops", "", "en"),
        ("columns:", "fields:", "columns"),
        (SHOPS, "entity: [", "shops.yaml"),
        (SHOPS, "shops", "shops.yaml"),
        ("  shop_id: {type: string, en: Shop, zh: 门店, required: true}", "  shop_id: string", "shops.yaml"),
    ],
)  # fmt: skip
def test_a_contract_that_does_not_is_refused(
    folder: Path, written: str, instead: str, message: str
) -> None:
    assert written in SHOPS
    (folder / "shops.yaml").write_text(SHOPS.replace(written, instead, 1), "utf-8")
    with pytest.raises(ContractError) as refused:
        contracts()
    assert message in str(refused.value)
    assert "shops" in str(refused.value)


def test_an_entity_without_a_contract_is_refused_with_those_there_are(folder: Path) -> None:
    (folder / "shops.yaml").write_text(SHOPS, "utf-8")
    with pytest.raises(ContractError, match="no contract for 'shop'; known: shops"):
        contract("shop")


def test_a_column_that_a_contract_lacks_is_refused(folder: Path) -> None:
    (folder / "shops.yaml").write_text(SHOPS, "utf-8")
    with pytest.raises(ContractError, match="shops has no column colour"):
        contract("shops").column("colour")
