"""Training from the files that other stages left: corpus tables, feature shards, vocabulary."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from videocap.extract.corpus.table import Video, caption_items
from videocap.extract.shards import split, store
from videocap.model.scores.cider import CiderScorer
from videocap.model.training.batches import TrainingData
from videocap.model.training.scst import Reward
from videocap.model.training.train import train
from videocap.model.training.trainer import TrainingConfig
from videocap.model.vocabulary import Vocabulary


def make(
    folder: Path,
    config: TrainingConfig,
    *,
    scratch: Path,
    videos_train: Path,
    captions_train: Path,
    aspects_train: Path,
    rows_train: Mapping[str, Path],
    rows_text: Mapping[str, Path] | None = None,
    videos_val: Path,
    captions_val: Path,
    rows_val: Mapping[str, Path],
    vocabulary: Path,
) -> None:
    """Train a captioner, validated by CIDEr under the `coco` protocol; see `trainer.train`.

    Args:
        folder: empty, for the model.
        config: holder of the sections fusion, vis2text, aspects, decoder and train.
        scratch: folder for checkpoints.
        videos_*, captions_*, aspects_*: tables of the corpus.
        rows_*: the feature shard of each video's digest.
        rows_text: the shard of each training caption's digest; None where `train.distill_weight` is 0.
        vocabulary: vocabulary.json.
    """
    words = Vocabulary.load(vocabulary)
    videos, features = split.load(videos_train, rows_train, captions_train, aspects_train)
    val, val_features = split.load(videos_val, rows_val, captions_val)
    data = TrainingData(
        videos,
        features,
        words,
        **({} if rows_text is None else _texts(videos, rows_text)),
        consensus=config.train.consensus,
        target=config.vis2text.target,
        aspects=config.aspects.use,
        max_tokens=config.decoder.max_tokens,
        max_aspect_tokens=config.decoder.max_aspect_tokens,
    )
    if len(val) < 2:  # CIDEr needs other videos to tell a rare word from a frequent one
        warnings.warn(f"{len(val)} validation videos are too few: the last epoch's weights are kept", stacklevel=2)
        val = []
    references = {video.id: video.captions for video in val}
    train(
        config,
        train=data,
        val=(val_features, list(references)) if references else None,
        vocabulary=words,
        validate=CiderScorer(references).score if references else None,
        reward=Reward([video.captions for video in videos], words) if config.train.scst_epochs else None,
        scratch=scratch,
        out=folder,
    )


def _texts(videos: Sequence[Video], rows: Mapping[str, Path]) -> dict[str, Any]:
    """T_CLIP of the training captions, for `TrainingData`."""
    captions = caption_items({video.id: video.captions for video in videos})
    texts = store.gather(sorted(set(rows.values())), [digest for _, digest in captions])
    if len(texts.values) != len(captions) or (np.diff(texts.offsets) != 1).any():
        raise ValueError("the shards of text embeddings must hold one row a caption: delete them, and run again")
    return {"embeddings": texts.values, "rows": {text: row for row, (text, _) in enumerate(captions)}}
