"""What definitions need to know of the retailer before anything runs.

Reads the environment and ``retailer.yaml`` when asked, never at import; an unknown retailer or
engine raises here, with a sentence that says what to set.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import dagster as dg

from siyu.config import Settings
from siyu.retailer import Retailer, load_retailer

OWNERS = ("team:data-engineering",)
MODEL_OWNERS = ("team:data-science",)


@dataclass(frozen=True)
class Environment:
    """The settings and the retailer that definitions are made for."""

    settings: Settings
    retailer: Retailer

    @staticmethod
    def load() -> Environment:
        """Read the environment.

        Raises:
            SettingsError: a setting cannot be used.
            RetailerError: the retailer cannot be read.
        """
        settings = Settings.from_env()
        return Environment(settings, load_retailer(settings))

    def as_of_partitions(self) -> dg.DailyPartitionsDefinition:
        """One partition per local day that tables can speak as of."""
        last = self.retailer.history_to
        return dg.DailyPartitionsDefinition(
            start_date=self.retailer.history_from.isoformat(),
            # The end is exclusive.
            end_date=(last + timedelta(days=1)).isoformat() if last else None,
            timezone=self.retailer.timezone,
        )
