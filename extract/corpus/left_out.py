"""What of a source is left out or decided: each kind of thing counted, with examples."""

from __future__ import annotations

from typing import Any

EXAMPLES = 3  # as many names as are shown


class LeftOut:
    """Counts of what was left out or decided, by what it was; the order of additions does not matter."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}

    def add(self, what: str, name: str, times: int = 1) -> None:
        """Count what happened, `times`, to the video, file or id of this name."""
        if times:
            self._names.setdefault(what, []).extend([name] * times)

    def rows(self) -> list[dict[str, Any]]:
        """As JSON, with the number of different names: [{"what", "count", "names", "examples": [name, …]}, …]."""
        rows = []
        for what, names in sorted(self._names.items()):
            distinct = sorted(set(names))
            examples = [name if name.isprintable() else repr(name) for name in distinct[:EXAMPLES]]
            rows.append({"what": what, "count": len(names), "names": len(distinct), "examples": examples})
        return rows
