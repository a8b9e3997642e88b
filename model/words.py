"""How the stages of this package say things to people: warnings are data, and put into words when they are told."""

from __future__ import annotations

from collections.abc import Mapping


def warning(row: Mapping[str, str]) -> str:
    """A warning of the report as a line: {"no frames": what went wrong}."""
    return f"the report shows no frames ({row['no frames']})"
