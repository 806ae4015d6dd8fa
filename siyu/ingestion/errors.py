"""What can stop an input from landing, said so that a person can mend it.

What belongs here: the exceptions of this package. What does not: what may be told of an engine's
error (``siyu.redaction``), or faults of single rows, which go to quarantine (``rules``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from deltalake.exceptions import DeltaError

if TYPE_CHECKING:
    from siyu.ingestion.landing import LandingReport

# What the engine raises in the middle of its work. Its messages quote the data, at times only half
# of a character, and then cannot even be made.
BROKEN_OFF = (duckdb.Error, UnicodeDecodeError)


class InputError(Exception):
    """One input cannot land; names the file or SQL, what was expected and found, what to do."""


class AccountingError(Exception):
    """Rows in and rows out of a landing do not add up; nothing was committed."""


class LandingError(Exception):
    """Some inputs of an entity could not land; the others did.

    Attributes:
        errors: The fault by input.
        reports: What the other inputs did.
    """

    def __init__(
        self, entity: str, errors: Mapping[str, InputError], reports: Sequence[LandingReport]
    ) -> None:
        self.entity = entity
        self.errors = dict(errors)
        self.reports = tuple(reports)
        super().__init__(
            "; ".join(f"{entity} from {name}: {error}" for name, error in self.errors.items())
        )


def not_committed(error: DeltaError | OSError, root: Path) -> InputError:
    """What to say of a write that the lake did not take.

    Args:
        error: What stopped it.
        root: Folder of the retailer's places.
    """
    if isinstance(error, DeltaError):
        return InputError(f"nothing was committed: {uncommitted(error)}")
    return InputError(
        f"nothing was committed: {error}; see that the disk under {root} has room and may be "
        "written to, then land again"
    )


def uncommitted(error: DeltaError) -> str:
    """A failed commit without any value of the data.

    When the rows stop coming in the middle of a write, the error quotes whatever stopped them.
    """
    streamed = "C Data interface" in str(error) or "Python exception" in str(error)
    return "the rows to write could not be made" if streamed else " ".join(str(error).split())
