"""Whether a customer may be contacted, now or as of an earlier day; the rule itself is dbt's."""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb

from siyu.warehouse import Warehouse

_FUNCTION = "contactability_as_of"


class ContactabilityError(Exception):
    """The question cannot be answered; the message says why."""


def contactability(
    warehouse: Warehouse, customer_id: str, as_of: date | None = None, known: date | None = None
) -> list[dict[str, Any]]:
    """What ``unified.contactability`` says of a customer, or would have said at the end of a day.

    Args:
        warehouse: Where the tables are.
        customer_id: The customer, by the id of today.
        as_of: Local day at whose end they would be contacted; None for now.
        known: Local day by whose end things were known; the same day unless given.

    Returns:
        A row per channel and purpose, with the reason and the statement that decided.

    Raises:
        ContactabilityError: there is no such customer or table, or the warehouse is Spark's and the
            day is not now.
    """
    if not warehouse.exists("unified.contactability"):
        raise ContactabilityError("there is no unified.contactability yet; run the refresh job")
    with warehouse.connect() as connection:
        if not _found(connection, "unified.customer_identifier WHERE customer_id = ?", customer_id):
            raise ContactabilityError(
                f"there is no customer {customer_id}; unified.customer_identifier has their ids"
            )
        source = "unified.contactability"
        if as_of is not None:
            if not _found(connection, "duckdb_functions() WHERE function_name = ?", _FUNCTION):
                raise ContactabilityError(
                    "an earlier day can be asked about only where DuckDB built the warehouse; on "
                    "Spark ask unified.fct_consent (docs/consent.md)"
                )
            source = f"unified.{_FUNCTION}(DATE '{as_of}', DATE '{known or as_of}')"
        rows: list[dict[str, Any]] = (
            connection.execute(
                f"FROM {source} WHERE customer_id = ? ORDER BY purpose, channel", [customer_id]
            )
            .to_arrow_table()
            .to_pylist()
        )
    return rows


def _found(connection: duckdb.DuckDBPyConnection, where: str, value: str) -> bool:
    return bool(connection.execute(f"SELECT 1 FROM {where} LIMIT 1", [value]).fetchall())
