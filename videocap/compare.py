"""`videocap compare`: two experiments side by side."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from videocap import tasks
from videocap.model.config import METRICS
from videocap.model.scores.comparison import compare
from videocap.pipeline.config import load
from videocap.pipeline.stages.experiment import artifacts_of
from videocap.pipeline.words import printable


def show_comparison(chosen: argparse.Namespace) -> int:
    """Print two experiments' scores, and their difference."""
    if chosen.metric not in METRICS:
        raise ValueError(f"--metric {chosen.metric}: there is none of that name; there are {', '.join(METRICS)}")
    runs = artifacts_of(load(tasks.Config, Path(chosen.config))).root / "runs"
    folders = [runs / name if (runs / name).is_dir() else Path(name) for name in chosen.experiments]
    if absent := [name for name, folder in zip(chosen.experiments, folders, strict=True) if not folder.is_dir()]:
        there = ", ".join(sorted(path.name for path in runs.glob("[!.]*"))) or "none"
        raise ValueError(f"there is no experiment {', '.join(absent)} in {runs}; there are: {there}")
    found = compare(*folders, chosen.metric, chosen.videos)
    if chosen.json:
        print(json.dumps(found, indent=1))
        return 0
    first, second = (printable(name) for name in chosen.experiments)
    print(f"{found['split']} split, {found['videos']} videos, protocol {found['protocol']}")
    numbers = [Column(title, justify="right") for title in ("first", "second", "difference", "95 % of draws")]
    table = Table("", *numbers, box=None, pad_edge=False)
    for kind, metrics in {"": found["metrics"], **found["aspects"]}.items():
        for metric, row in metrics.items():
            low, high = row["interval"]
            figures = [f"{row['first']:.4f}", f"{row['second']:.4f}", f"{row['difference']:+.4f}"]
            table.add_row(f"{kind} {metric}".strip(), *figures, f"{low:+.4f} … {high:+.4f}")
    console = Console()
    console.print(table)
    print(f"first: {first}; second: {second}. Draws are of videos: other training seeds may differ by more.")
    print(f"\nThe videos whose {chosen.metric} differs most:" if found["differ"] else "")
    for row in found["differ"]:
        print(printable(f"{row['video_id']}  {row['second'] - row['first']:+.3f}"))
        for score, caption in zip((row["first"], row["second"]), row["captions"], strict=True):
            print(printable(f"  {score:7.3f}  {caption}"))
    return 0
