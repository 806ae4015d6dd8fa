"""Who is who: from edges between identifiers to stable customer ids.

What belongs here: clustering, caps, and how a cluster keeps its id from run to run, as pure
functions over Arrow, and the store of what they decided. What does not: which rows of which source
link which identifiers (dbt, ``staging.stg_identity_edge``), or what a customer looks like.
"""

from siyu.identity.history import past
from siyu.identity.resolution import Resolution, resolve
from siyu.identity.store import IdentityStore

__all__ = ["IdentityStore", "Resolution", "past", "resolve"]
