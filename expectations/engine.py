"""Great Expectations, kept in one place: what it is given and what comes back.

What belongs here: building batches (pandas, or DuckDB through SQLAlchemy), running one suite over
one batch, and reading its answers. What does not: which rules there are, when a table is too large
for pandas, or what a result means for the pipeline (``expectations.runner``).

Great Expectations is imported inside functions: it takes seconds, and Dagster loads this package
whenever it loads definitions. Its analytics are off, its context lives in memory, it draws no
progress bars, and its log is silenced: it prints whole tracebacks, and those may quote data.

There is one context for the process: making one costs as much as judging five rules, and so does
every change to it. Frames are handed to one data source that stays; a query's source comes and goes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import duckdb

from expectations.rules import Rule

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core.batch_definition import BatchDefinition
    from great_expectations.data_context.data_context.abstract_data_context import (
        AbstractDataContext,
    )
    from great_expectations.datasource.fluent.interfaces import Batch

_RULE = "rule"


def judge_frame(frame: pd.DataFrame, rules: Sequence[Rule]) -> dict[str, bool]:
    """Whether each rule holds for rows in memory, by rule id; what cannot be said is absent."""
    with _quiet():
        return _validate(_frames().get_batch({"dataframe": frame}), rules)


def judge_query(
    connection: duckdb.DuckDBPyConnection, query: str, rules: Sequence[Rule]
) -> dict[str, bool]:
    """The same for the rows of a query, evaluated by DuckDB.

    Great Expectations gathers all counts of a suite into one statement, so that many rules cost
    one scan.
    """
    with _quiet(), _query(connection, query) as rows:
        return _validate(rows.get_batch(), rules)


@contextmanager
def _query(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[BatchDefinition[Any]]:
    """The rows of a query, known to the context while they are judged."""
    from great_expectations.core.batch_definition import BatchDefinition
    from great_expectations.datasource.fluent.sql_datasource import QueryAsset, SQLDatasource
    from sqlalchemy.pool import StaticPool

    # Whole from the start: each part added later would have the context written out again.
    rows = QueryAsset(name="rows", query=query, batch_definitions=[BatchDefinition(name="whole")])
    source = SQLDatasource(
        name="query",
        connection_string="duckdb:///:memory:",
        kwargs={"creator": lambda: _borrowed(connection), "poolclass": StaticPool},
        assets=[rows],
    )
    sources = _context().data_sources
    try:
        yield sources.add_sql(source).get_asset("rows").get_batch_definition("whole")
    finally:
        sources.all().pop(source.name, None)


@cache
def _frames() -> BatchDefinition[Any]:
    """Where frames are handed in; the last one is held until the next comes."""
    rows = _context().data_sources.add_pandas("frames").add_dataframe_asset("rows")
    return rows.add_batch_definition_whole_dataframe("whole")


def _borrowed(connection: duckdb.DuckDBPyConnection) -> Any:
    """The caller's connection in the form SQLAlchemy drives, without its transactions.

    A handle of our own could not be opened: DuckDB refuses a second configuration of one file in
    one process. And Great Expectations reads a result after giving the connection back, when
    SQLAlchemy's rollback would have emptied it; its list of databases where it holds on to the
    connection is private and lacks DuckDB. Every statement is a single SELECT, so there is nothing
    to commit or to roll back, and closing is the caller's business.
    """
    from duckdb_engine import ConnectionWrapper

    class Borrowed(ConnectionWrapper):
        def begin(self) -> None:
            """Statements commit by themselves."""

        def commit(self) -> None:
            """Statements commit by themselves."""

        def rollback(self) -> None:
            """Nothing is written."""

        def close(self) -> None:
            """The caller opened it."""

    return Borrowed(connection)


@cache
def _context() -> AbstractDataContext:
    # Before the import: Great Expectations reads it then.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    return gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            # In memory, and without the folder of HTML pages that it makes by default.
            store_backend_defaults=InMemoryStoreBackendDefaults(),
            progress_bars=ProgressBarsConfig(globally=False),
            analytics_enabled=False,
        ),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing of what Great Expectations logs."""
    log = logging.getLogger("great_expectations")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)


def _validate(batch: Batch, rules: Sequence[Rule]) -> dict[str, bool]:
    import great_expectations as gx
    import great_expectations.expectations as gxe

    suite = gx.ExpectationSuite(
        name="suite",
        expectations=[
            getattr(gxe, str(rule.expectation))(**rule.arguments, meta={_RULE: rule.id})
            for rule in rules
        ],
    )
    # Nothing but the verdict: more would quote values, and cost half as much again.
    found = batch.validate(suite, result_format="BOOLEAN_ONLY")
    # The results come in an order of their own.
    return {
        result.expectation_config.meta[_RULE]: bool(result.success)
        for result in found.results
        if result.expectation_config is not None
        and result.expectation_config.meta
        and not _raised(result.exception_info or {})
    }


def _raised(exception: Mapping[str, Any]) -> bool:
    """Whether anything was raised; the mapping is flat, or has one entry per metric."""
    return bool(exception.get("raised_exception")) or any(
        isinstance(entry, Mapping) and entry.get("raised_exception") for entry in exception.values()
    )
