"""One split in memory: its videos that have frame features, and these features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from videocap.extract.corpus import table
from videocap.extract.shards import shard, store


def load(
    videos: Path, rows: Mapping[str, Path], captions: Path | None = None, aspects: Path | None = None
) -> tuple[list[table.Video], shard.Features]:
    """Read a split.

    Args:
        videos, captions, aspects: the split's files of the corpus; without the latter two videos have none.
        rows: the feature shard of each video's digest; a video that is not in it failed, and is left out.

    Returns:
        videos and, in the same order, their features: float16 (rows, width).
    """
    found = table.load(videos, captions, aspects, keep=rows)
    return found, store.gather(sorted(set(rows.values())), [video.digest for video in found])
