"""What of a source is left out or decided: each kind of thing counted, with examples."""

from __future__ import annotations

from typing import Any

EXAMPLES = 3  # as many names as are shown


class LeftOut:
    """Counts of what was left out or decided, by the codes of `words.LEFT_OUT`; in which order does not matter."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}

    def add(self, code: str, name: str, times: int = 1) -> None:
        """Count what happened, `times`, to the video, file or id of this name."""
        if times:
            self._names.setdefault(code, []).extend([name] * times)

    def rows(self) -> list[dict[str, Any]]:
        """As JSON, with the number of different names: [{"what": code, "count", "names", "examples": [name, …]}, …]."""
        rows = []
        for code, names in sorted(self._names.items()):
            distinct = sorted(set(names))
            examples = [name if name.isprintable() else repr(name) for name in distinct[:EXAMPLES]]
            rows.append({"what": code, "count": len(names), "names": len(distinct), "examples": examples})
        return rows
