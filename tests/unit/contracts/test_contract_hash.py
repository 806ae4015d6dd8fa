"""What makes a contract another one, under which everything lands again."""

from __future__ import annotations

from typing import Any

import pytest

from siyu.contracts import Contract, contract


def _changed(**said: Any) -> Contract:
    """The contract of points with something else said of one column."""
    points = contract("points").model_dump()
    points["columns"][-2].update(said)
    return Contract.model_validate(points)


@pytest.mark.parametrize("said", [{"en": "x"}, {"zh": "x"}, {"unit": "x"}])
def test_words_about_a_column_are_not_what_it_holds(said: dict[str, Any]) -> None:
    assert _changed(**said).sha256 == contract("points").sha256


@pytest.mark.parametrize("said", [{"required": False}, {"values": ("x",)}, {"type": "string"}])
def test_what_a_column_may_hold_is(said: dict[str, Any]) -> None:
    assert _changed(**said).sha256 != contract("points").sha256
