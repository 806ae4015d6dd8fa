"""What leaves the warehouse: publications and their state.

What belongs here: writing a publication and swapping it in, and saying what is published and what
is blocked. What does not: deciding whether the gates passed (``siyu.ops``), or the SQL of a table.
"""

from siyu.serving.publication import (
    Publication,
    TableText,
    current_folder,
    prune,
    publish,
)
from siyu.serving.records import OPS_TEXTS, ops_models, ops_tables
from siyu.serving.status import Status, status

__all__ = [
    "OPS_TEXTS",
    "Publication",
    "Status",
    "TableText",
    "current_folder",
    "ops_models",
    "ops_tables",
    "prune",
    "publish",
    "status",
]
