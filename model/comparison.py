"""Two experiments side by side: scores, how sure their difference is, and the videos that differ most."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from extract.table import load_json
from model.bootstrap import intervals, resampled
from model.config import METRICS


def compare(first: Path, second: Path, metric: str = "CIDEr", most: int = 10) -> dict[str, Any]:
    """Compare the results in two folders, as `runs/<experiment>` shows them.

    Args:
        metric: by which videos differ.
        most: how many of these to give.

    Returns:
        {"split", "protocol", "videos", "metrics": {metric: {"first", "second", "difference", "interval"}},
        "differ": [{"video_id", "first", "second", "captions": [first's, second's]}]}. The difference is the second's
        less the first's; the interval is where it lies for 95 % of the draws of a paired bootstrap over videos.

    Raises:
        ValueError: a folder has no results, or they are not of the same videos, protocol and references.
    """
    try:
        return _compare(first, second, metric, most)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(
            f"{first} or {second}: its .json files are not as an experiment writes them ({error!r})"
        ) from None


def _compare(first: Path, second: Path, metric: str, most: int) -> dict[str, Any]:
    one, two = (_results(folder) for folder in (first, second))
    for what in ("split", "protocol"):
        if one["scores"][what] != two["scores"][what]:
            raise ValueError(
                f"not comparable: {what} is {one['scores'][what]} in {first}, {two['scores'][what]} in {second}"
            )
    if alone := sorted(one["video_scores"].keys() ^ two["video_scores"].keys()):
        raise ValueError(f"not comparable: {len(alone)} videos are scored in one only, such as {alone[0]}")
    if one["references"] != two["references"] and None not in (one["references"], two["references"]):
        raise ValueError(f"not comparable: {first} and {second} were scored against different references")
    samples = resampled(one["video_scores"], two["video_scores"])
    spread = intervals(samples[1] - samples[0])
    metrics = {}
    for name in METRICS:
        a, b = one["scores"][name], two["scores"][name]
        metrics[name] = {"first": a, "second": b, "difference": b - a, "interval": spread[name]}
    rows = [
        {
            "video_id": name,
            "first": one["video_scores"][name][metric],
            "second": two["video_scores"][name][metric],
            "captions": [one["captions"][name], two["captions"][name]],
        }
        for name in sorted(one["video_scores"])
    ]
    rows.sort(key=lambda row: -abs(row["second"] - row["first"]))
    head = {what: one["scores"][what] for what in ("split", "protocol")}
    return {**head, "videos": len(rows), "metrics": metrics, "differ": rows[:most]}


def _results(folder: Path) -> dict[str, Any]:
    files = ("scores", "video_scores", "captions")
    if missing := [f"{name}.json" for name in files if not (folder / f"{name}.json").is_file()]:
        raise ValueError(f"{folder}: has no {', '.join(missing)}: run the experiment again, to its end")
    found = {name: load_json(folder / f"{name}.json") for name in files}
    made_of = load_json(folder / "made_of.json") if (folder / "made_of.json").is_file() else {}
    captions = {row["video_id"]: row["caption"] for row in found["captions"]}
    return found | {"captions": captions, "references": made_of.get("References")}
