"""Two experiments side by side: scores, how sure their difference is, and the videos that differ most."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from videocap.extract.json_files import load_json
from videocap.model.config import METRICS
from videocap.model.scores.bootstrap import VideoScores, intervals, resampled


def compare(first: Path, second: Path, metric: str = "CIDEr", most: int = 10) -> dict[str, Any]:
    """Compare the results in two folders, as `runs/<experiment>` shows them.

    Args:
        metric: by which videos differ.
        most: how many of these to give.

    Returns:
        {"split", "protocol", "videos", "metrics": {metric: {"first", "second", "difference", "interval"}}, "aspects":
        {aspect: as metrics, where both have it}, "differ": [{"video_id", "first", "second", "captions": [first's,
        second's]}]}. The difference is the second's less the first's; the interval is where it lies for 95 % of the
        draws of a paired bootstrap over videos.

    Raises:
        ValueError: a folder has no results, or they are not of the same videos, protocol and references.
    """
    try:
        one, two = (_results(folder) for folder in (first, second))
        a, b = one["video_scores"]["caption"], two["video_scores"]["caption"]
        for what in ("split", "protocol"):
            if one["scores"][what] != two["scores"][what]:
                values = f"{one['scores'][what]} in {first}, {two['scores'][what]} in {second}"
                raise ValueError(f"not comparable: {what} is {values}")
        if alone := sorted(a.keys() ^ b.keys()):
            raise ValueError(f"not comparable: {len(alone)} videos are scored in one only, such as {alone[0]}")
        if one["scores"]["references"] != two["scores"]["references"]:
            raise ValueError(f"not comparable: {first} and {second} were scored against different references")
        aspects = {
            aspect: _differences(one["scores"]["aspects"][aspect], two["scores"]["aspects"][aspect], c, d)
            for aspect, c in one["video_scores"].items()
            if aspect != "caption" and c.keys() == (d := two["video_scores"].get(aspect, {})).keys()
        }
        rows = [
            {
                "video_id": name,
                "first": a[name][metric],
                "second": b[name][metric],
                "captions": [one["captions"][name], two["captions"][name]],
            }
            for name in sorted(a)
        ]
        rows.sort(key=lambda row: -abs(row["second"] - row["first"]))
        head = {"split": one["scores"]["split"], "protocol": one["scores"]["protocol"], "videos": len(rows)}
        return {
            **head,
            "metrics": _differences(one["scores"], two["scores"], a, b),
            "aspects": aspects,
            "differ": rows[:most],
        }
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        said = f"{first} or {second}: its .json files are not as an experiment writes them now ({error!r})"
        raise ValueError(f"{said}: run the experiments again") from None


def _differences(one: Mapping, two: Mapping, a: VideoScores, b: VideoScores) -> dict[str, dict[str, Any]]:
    """Each metric of two corpora, given their scores and those of their videos."""
    samples = resampled(a, b)
    spread = intervals(samples[1] - samples[0])
    return {
        name: {"first": one[name], "second": two[name], "difference": two[name] - one[name], "interval": spread[name]}
        for name in METRICS
    }


def _results(folder: Path) -> dict[str, Any]:
    files = ("scores", "video_scores", "captions")
    if missing := [f"{name}.json" for name in files if not (folder / f"{name}.json").is_file()]:
        raise ValueError(f"{folder}: has no {', '.join(missing)}: run the experiment again, to its end")
    found = {name: load_json(folder / f"{name}.json") for name in files}
    return found | {"captions": {row["video_id"]: row["caption"] for row in found["captions"]}}
