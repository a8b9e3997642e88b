"""Small files in the layouts that data sets come in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from videocap.extract.corpus.annotations import read


def msrvtt_file(path: Path, splits: Mapping[str, str | None], sentences: Iterable[tuple] = (), **extra: object) -> Path:
    """MSR-VTT's official layout; a split of None is lacking, and a sentence is (video, caption) or (…, sen_id)."""
    videos = [{"video_id": n, "id": i} | ({"split": s} if s else {}) for i, (n, s) in enumerate(splits.items())]
    rows = [dict(zip(("video_id", "caption", "sen_id"), sentence, strict=False)) for sentence in sentences]
    path.write_text(json.dumps({"info": {"year": "2016"}, "videos": videos, "sentences": rows, **extra}))
    return path


def digests(*names: str) -> dict[str, str]:
    """A stand-in for the sha256 of each video file."""
    return {name: f"sha-{name}" for name in names}


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def table(paths: list[Path], kind: str = "folder") -> dict:
    entries, _ = read(paths, kind)
    return {name: (entry.split, entry.captions, entry.aspects) for name, entry in entries.items()}


def counts(paths: list[Path], kind: str = "folder") -> dict[str, int]:
    _, found = read(paths, kind)
    return {row["what"]: row["count"] for row in found.rows()}
