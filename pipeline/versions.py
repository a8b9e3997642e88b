"""Versions of Python, this project and what it requires, for the record of how things were made."""

from __future__ import annotations

import platform
import re
from functools import cache
from importlib import metadata


@cache
def versions() -> dict[str, str]:
    """The versions by name of package."""
    named = [re.match(r"[\w.-]+", line)[0] for line in metadata.requires("clip4videocap") or () if "extra" not in line]
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in ["clip4videocap", *named]}}
