"""Which assets are meant, where several speak of the same: jobs, the sensor, the command line."""

import dagster as dg

from orchestration.lib.sources import GROUP

SOURCES = dg.AssetSelection.groups(GROUP)
LAKE = dg.AssetSelection.groups("lake")
# What a refresh still has to do once the landing before it has filled the lake.
BEHIND_THE_LAKE = dg.AssetSelection.all() - SOURCES - LAKE
