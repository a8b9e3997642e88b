"""What the captioning of the demo said, and what there is."""

import json
import stat
from pathlib import Path

from runs import TINY

# some steps more, for captions that differ between clips
SOME = TINY + " train.epochs=12 train.lr=0.01"


def clips(artifacts: Path) -> dict[str, Path]:
    """The demo's clips, by id."""
    (folder,) = artifacts.glob("ToyWorld/*/*/videos")
    return {path.name: path for path in sorted(folder.iterdir())}


def said(artifacts: Path) -> dict[str, dict]:
    """What the stage Caption said of each clip of the test split."""
    rows = json.loads((artifacts / "runs" / "demo" / "captions.json").read_text())
    return {row.pop("video_id"): row for row in rows}


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file, but of those by which asking about the same again is quick."""
    found = [path for path in folder.rglob("*") if stat.S_ISREG(path.lstat().st_mode) and path.parent.name != "memo"]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}
