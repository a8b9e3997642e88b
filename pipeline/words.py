"""How the pipeline says things to people: one place for what is printed of names, times and events."""

from __future__ import annotations


def printable(text: str) -> str:
    """A text that may be a stranger's, without what a terminal would obey."""
    return text if text.isprintable() else repr(text)[1:-1]


def duration(seconds: float) -> str:
    """A time in words, as precise as a person needs."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
