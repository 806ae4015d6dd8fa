"""siyu: a customer-data warehouse for retailers who talk to their own customers directly.

The library the other packages stand on. The modules beside this one (docs/architecture.md lists
them) and contracts may be imported by every subpackage; subpackages never import one another, and
only ``siyu.cli`` and ``siyu.summary`` compose them. Nothing here imports dagster.
"""

__version__ = "0.1.0"
