"""Names of source columns: which may be repeated in errors, logs, manifests and tables.

A file that was delivered without its header has a record in its first line, so that a phone or a
person's name stands where the name of a column is expected. And a name cannot be told from a value by
its looks: 姓名 is a column, 张伟明 a person. So what counts is whether somebody knows the names: the
retailer's settings, the mapping, the contract or an earlier batch.

- A line is a header when it has one name that the mapping needs or two that are known, and more of
  these than texts that can be no name. Of any other line nothing is repeated, only how many columns
  it has.
- Of a header, every known name is repeated, and a new one unless it can be no name: too long, without a
  letter, with an @, or with as many digits as a phone.

What belongs here: telling names from data. What does not: reading headers (``readers``), or comparing
them (``drift``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

_LONGEST = 64
# Of a phone without its area there are seven digits, of a day eight.
_MOST_DIGITS = 6
# A record may hold the name of a column by chance: a channel is called phone, a shop store.
_ENOUGH = 2


def folded(*names: Collection[str]) -> frozenset[str]:
    """Names in lower case, in which they are compared."""
    return frozenset(name.lower() for some in names for name in some)


def may_be_name(said: str) -> bool:
    """Whether a text can be the name of a column, whoever knows it."""
    return (
        len(said) <= _LONGEST
        and said.isprintable()
        and "@" not in said
        and any(sign.isalpha() for sign in said)
        and sum(sign.isdigit() for sign in said) <= _MOST_DIGITS
    )


@dataclass(frozen=True)
class Known:
    """Names of columns that somebody knows, in lower case.

    Attributes:
        names: All of them.
        needed: Those without which the mapping does not run.
    """

    names: frozenset[str]
    needed: frozenset[str] = field(default=frozenset())

    def is_header(self, columns: Collection[str]) -> bool:
        """Whether the columns of a file are called by names, and not by the values of a record."""
        here = folded(columns)
        recognised = len(here & self.names)
        no_names = sum(not may_be_name(column) for column in here - self.names)
        enough = bool(here & self.needed) or recognised >= _ENOUGH
        return enough and recognised > no_names

    def shown(self, columns: Collection[str]) -> list[str]:
        """Columns of a file that may be repeated, in their order."""
        if not self.is_header(columns):
            return []
        return [column for column in columns if column.lower() in self.names or may_be_name(column)]

    def described(self, columns: Collection[str]) -> str:
        """The columns of a file in words."""
        names = self.shown(columns)
        rest = len(columns) - len(names)
        if not names:
            return (
                f"{rest} columns whose names look like data and are not repeated (is its header "
                "missing, or its delim another?)"
            )
        return ", ".join(names) + (f" and {rest} whose names look like data" if rest else "")
