"""What leaves the warehouse: publications and their state, and who may be contacted.

What belongs here: writing a publication and swapping it in, saying what is published and what is
blocked, and asking the tables about one customer. What does not: deciding whether the gates passed (``siyu.ops``), or the SQL of a table.
"""

from siyu.serving.contactability import ContactabilityError, contactability
from siyu.serving.publication import (
    Publication,
    TableText,
    current_folder,
    prune,
    publish,
)
from siyu.serving.records import OPS_TEXTS, ops_models, ops_tables
from siyu.serving.replacement import replace_publications
from siyu.serving.status import Status, status

__all__ = [
    "OPS_TEXTS",
    "ContactabilityError",
    "Publication",
    "Status",
    "TableText",
    "contactability",
    "current_folder",
    "ops_models",
    "ops_tables",
    "prune",
    "publish",
    "replace_publications",
    "status",
]
