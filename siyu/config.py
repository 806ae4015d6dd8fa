"""Settings, read once from the environment.

What belongs here: the few things that differ between two runs of the same code, with their
defaults. What does not: anything about a retailer (``siyu.retailer``) or where files lie under the
home folder (``siyu.paths``). Nothing is read at import.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, cast, get_args

REPO = Path(__file__).resolve().parent.parent

Engine = Literal["duckdb", "spark"]

# delta-rs panics on such a path, takes it for another one, or says that it has no history; Spark
# takes it for a pattern.
_NO_HOME = re.compile(r"[\[\]{}*?#|^\\\x00-\x1f]|%[0-9A-Fa-f]{2}")


class SettingsError(Exception):
    """A setting in the environment cannot be used; the message says which and what to do."""


@dataclass(frozen=True)
class Settings:
    """What the environment decides.

    Attributes:
        home: Folder that holds everything siyu makes (``SIYU_HOME``, default ``.siyu``).
        retailer: Name of the retailer's folder (``SIYU_RETAILER``, default ``demo``).
        retailers: Folder of retailers' folders (``SIYU_RETAILERS``, default ``retailers``).
        engine: ``duckdb`` or ``spark`` (``SIYU_ENGINE``).
        as_of: Local day to work as of (``SIYU_AS_OF``), or None for the last complete one.
    """

    home: Path
    retailer: str
    retailers: Path
    engine: Engine
    as_of: date | None

    @staticmethod
    def from_env(env: Mapping[str, str] | None = None) -> Settings:
        """Read the settings.

        Raises:
            SettingsError: a value cannot be used.
        """
        env = os.environ if env is None else env
        engine = env.get("SIYU_ENGINE") or "duckdb"
        if engine not in get_args(Engine):
            raise SettingsError(f"SIYU_ENGINE is {engine!r}: use one of {get_args(Engine)}")
        said = env.get("SIYU_AS_OF")
        try:
            as_of = date.fromisoformat(said) if said else None
        except ValueError as error:
            raise SettingsError(f"SIYU_AS_OF is {said!r}: use a day such as 2026-06-30") from error
        home = Path(env.get("SIYU_HOME") or REPO / ".siyu").expanduser().resolve()
        if _NO_HOME.search(str(home)):
            raise SettingsError(
                f"SIYU_HOME is {str(home)!r}: libraries misread a path with one of "
                "[ ] { } * ? # | ^ \\, a tab, or % before two hexadecimal digits; use another folder"
            )
        return Settings(
            home=home,
            retailer=env.get("SIYU_RETAILER") or "demo",
            retailers=Path(env.get("SIYU_RETAILERS") or REPO / "retailers").resolve(),
            engine=cast(Engine, engine),
            as_of=as_of,
        )
