"""How the commands say things: one place for moments and counts."""

from __future__ import annotations

import time


def when(made: float | None) -> str:
    """A moment, as a person reads it."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(made)) if made else ""


def shards(count: int) -> str:
    """That many, in words."""
    return f"{count} shard" + "s" * (count != 1)
