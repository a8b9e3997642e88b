"""Captions of one split, from the files that other stages left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from videocap.extract.device import resolve
from videocap.extract.json_files import dump_json
from videocap.extract.shards import split
from videocap.model.captions import ensemble, search
from videocap.model.config import GenerateConfig

OPTIONS = [name for name in GenerateConfig.model_fields if name != "models"]


def make(
    folder: Path, config: Any, *, model: Path, videos: Path, rows: Mapping[str, Path], others: Sequence[Path] = ()
) -> None:
    """Caption all videos of a split that have features; writes captions.json, sorted by id.

    Args:
        config: holder of the section generate and of train.device.
        model: folder of a trained captioner.
        videos: the split's table of the corpus.
        rows: the feature shard of each video's digest.
        others: folders of captioners that write with it.

    Raises:
        ValueError: if there is nothing to caption.
    """
    where = resolve(config.train.device, "fp32").device
    captioner, vocabulary = ensemble.load(model, others, where)
    table, features = split.load(videos, rows)
    if not table:
        raise ValueError("the split has no videos to caption: choose another score.split, or give it videos")
    captions = search.caption(
        captioner,
        vocabulary,
        features,
        [video.id for video in table],
        **{name: getattr(config.generate, name) for name in OPTIONS},
        device=where,
    )
    dump_json(folder / "captions.json", sorted(captions, key=lambda row: row["video_id"]))
