"""What is told of an engine's error: never a value of the data."""

from __future__ import annotations

import duckdb
import pytest

from siyu.redaction import explained, explained_text

VALUE = "13800138000"
OF_NODE = "Runtime Error in model fct_order (models/unified/sales/fct_order.sql)"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            f"{OF_NODE}\n  Conversion Error: Could not convert string '{VALUE}' to INT32\n  LINE 1: …",
            f"{OF_NODE}: Conversion Error",
        ),
        (
            f"Conversion Error: '{VALUE}' to INT64 when casting from source column quantity",
            "Conversion Error in column quantity",
        ),
        (
            f'{OF_NODE}\n  Constraint Error: Duplicate key "phone: {VALUE}" violates unique constraint',
            f"{OF_NODE}: Constraint Error",
        ),
        (
            f"{OF_NODE}\n  Out of Range Error: Overflow in multiplication of INT64 ({VALUE} * 9)",
            f"{OF_NODE}: Out of Range Error",
        ),
        (
            f"{OF_NODE}\n  Invalid Input Error: Binder Error: {VALUE}",
            f"{OF_NODE}: Invalid Input Error",
        ),
        (
            f"{OF_NODE}\n  [CAST_INVALID_INPUT] The value '{VALUE}' of the type \"STRING\" cannot be cast",
            f"{OF_NODE}: CAST_INVALID_INPUT",
        ),
        (
            f'{OF_NODE}\n  TransactionContext Error: Failed to commit: Could not write file "/w.duckdb": '
            f"No space left on device: '{VALUE}'",
            f'{OF_NODE}: TransactionContext Error: Could not write file "/w.duckdb": '
            "No space left on device",
        ),
        (f"{OF_NODE}\n  {VALUE}", f"{OF_NODE}: an error whose text may quote the data"),
        (VALUE, "an error whose text may quote the data"),
    ],
)  # fmt: skip
def test_of_an_error_that_quotes_a_value_the_kind_is_told(text: str, told: str) -> None:
    assert explained_text(text) == told


@pytest.mark.parametrize(
    "text",
    [
        f"{OF_NODE} Binder Error: Referenced column \"orderd_at\" not found in FROM clause",
        f"{OF_NODE} IO Error: Could not write file \"siyu.duckdb\": No space left on device",
        "Compilation Error in model fct_order (models/unified/sales/fct_order.sql) This model has an "
        "enforced contract that failed.",
    ],
)  # fmt: skip
def test_an_error_about_names_is_told_in_full(text: str) -> None:
    assert explained_text(text) == text
    assert explained_text(text.replace(" ", "\n  ", 1)) == text


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (f"SELECT CAST('{VALUE}x' AS INTEGER)", "ConversionException"),
        ("SELECT missing FROM range(1)", "Binder Error: Referenced column"),
    ],
)
def test_an_exception_is_told_in_the_same_way(query: str, told: str) -> None:
    with pytest.raises(duckdb.Error) as raised:
        duckdb.execute(query)
    assert explained(raised.value).startswith(told)
    assert VALUE not in explained(raised.value)
