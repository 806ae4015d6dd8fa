"""Resources: what a step is handed. One per outside thing, no logic of the pipeline."""

from orchestration.resources.workspace import Workspace

__all__ = ["Workspace"]
