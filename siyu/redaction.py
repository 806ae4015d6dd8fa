"""What engines say of an error, without any value of the data.

DuckDB and Spark quote the value that they could not convert or that broke a constraint, and it may be
a phone number. What belongs here: deciding what of such an error may be told. What does not: what
the reader should do about it, which the caller knows.
"""

from __future__ import annotations

import re

import duckdb

# These speak of names and types only. Any other engine error may quote the data.
_ABOUT_NAMES = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ParserException,
    duckdb.SyntaxException,
)
# The same as dbt passes them on, as text, and those that speak of the warehouse's file and of memory.
_SAID_IN_FULL = frozenset({
    "Binder Error", "Catalog Error", "Parser Error", "Syntax Error", "IO Error", "Out of Memory Error",
})  # fmt: skip
_MEANT = re.compile(r"(?i)\s*\bcandidate (?:bindings|entries)\b")
# How dbt names the model or test that broke. Its own errors of compilation hold names only.
_NODE = re.compile(r"(?:(Compilation)|\w+) Error in \w+ \w+ \([^)]*\)")
# How DuckDB and Spark begin: with the kind of error.
_KIND = re.compile(r"((?:(?!Error\b)[A-Za-z]+ ){1,3}Error): |\[([A-Z_.]+)\] ")
# What is said of a file that cannot be written, whatever error wraps it.
_FILE = re.compile(r'Could not \w+ (?:\w+ )?file "[^"]*": [A-Za-z ]+')
_COLUMN = re.compile(r"casting from source column (\w+)")


def explained(error: Exception) -> str:
    """An engine's error: what it says when it speaks of names, else its kind and column.

    Columns that might have been meant are left out: a file without its header has values for their
    names.
    """
    if isinstance(error, _ABOUT_NAMES):
        said = _MEANT.split(str(error), maxsplit=1)[0]
        return " ".join(said.split())
    return type(error).__name__ + _in_column(str(error))


def explained_text(text: str) -> str:
    """The same of an error of dbt's, where it has become text and columns are the warehouse's."""
    said = " ".join(text.split())
    node = _NODE.match(said)
    kind = _KIND.search(said, node.end() if node else 0)
    name = (kind[1] or kind[2]) if kind else "an error whose text may quote the data"
    if (node and node[1]) or name in _SAID_IN_FULL:
        return said
    file = _FILE.search(said)
    told = f"{name}: {file[0]}" if file else name + _in_column(said)
    return f"{node[0]}: {told}" if node else told


def _in_column(said: str) -> str:
    column = _COLUMN.search(said)
    return f" in column {column[1]}" if column else ""
