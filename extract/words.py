"""How extraction says things to people: warnings are kept as data, and put into words here, when they are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def warning(row: Mapping[str, Any] | str) -> str:
    """A warning on a source as a line.

    Args:
        row: what was left out or decided, as `LeftOut.rows`; or what is unusual, {"unusual": "splits", "captions" or
            "no videos", …}. (Earlier corpora kept the line itself.)
    """
    if isinstance(row, str):
        return row
    if "unusual" not in row:
        more = " …" * (row["names"] > len(row["examples"]))
        return f"{row['count']} {row['what']}: {', '.join(row['examples'])}{more}"
    if row["unusual"] == "splits":
        usual = ", ".join(f"{_numbers(counts)} ({name})" for counts, name in row["usual"])
        return f"the splits are {_numbers(row['counts'])} (train, val, test); MSR-VTT's usual ones are {usual}"
    if row["unusual"] == "captions":
        examples = ", ".join(f"{name} has {count}" for name, count in row["examples"])
        return f"{row['count']} videos do not have MSR-VTT's {row['usual']} captions: {examples}"
    return f"there are no {row['split']} videos: {row['counts']}"


def _numbers(counts: tuple[int, ...]) -> str:
    return " / ".join(f"{count:,}" for count in counts)
