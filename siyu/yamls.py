"""YAML, read by the C parser where PyYAML was built with it: a start reads fifty files."""

from __future__ import annotations

from typing import Any

import yaml

# Both build plain values only.
_Loader: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(text: str) -> Any:
    """The content of one YAML document.

    Raises:
        yaml.YAMLError: the text is not YAML.
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - either is a safe loader
