"""Training from the files that other stages left: corpus tables, feature shards, vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from extract import shards, splits
from extract.corpus import caption_items
from model.batches import TrainingData
from model.cider import CiderScorer
from model.training import TrainingConfig, train
from model.vocabulary import Vocabulary


def fit(
    config: TrainingConfig,
    out: Path,
    scratch: Path,
    *,
    train_videos: Path,
    train_captions: Path,
    train_aspects: Path,
    train_rows: Mapping[str, Path],
    text_rows: Mapping[str, Path],
    val_videos: Path,
    val_captions: Path,
    val_rows: Mapping[str, Path],
    vocabulary: Path,
) -> None:
    """Train a captioner, validated by CIDEr under the `coco` protocol; see `training.train`.

    Args:
        config: holder of the sections fusion, vis2text, aspects, decoder and train.
        out: an empty folder for the model.
        scratch: folder for checkpoints.
        *_videos, *_captions, *_aspects: tables of the corpus.
        *_rows: the feature shard of each video's digest.
        text_rows: the shard of each training caption's digest.
        vocabulary: vocabulary.json.
    """
    words = Vocabulary.load(vocabulary)
    videos, features = splits.load(train_videos, train_rows, train_captions, train_aspects)
    val, val_features = splits.load(val_videos, val_rows, val_captions)
    captions = caption_items({video.id: video.captions for video in videos})
    data = TrainingData(
        videos,
        features,
        words,
        embeddings=shards.gather(sorted(set(text_rows.values())), [digest for _, digest in captions]).values,
        rows={text: row for row, (text, _) in enumerate(captions)},
        aspects=config.aspects.use,
        max_tokens=config.decoder.max_tokens,
        max_aspect_tokens=config.decoder.max_aspect_tokens,
    )
    references = {video.id: video.captions for video in val}
    train(
        config,
        train=data,
        val=(val_features, list(references)),
        vocabulary=words,
        validate=CiderScorer(references).score if references else None,
        scratch=scratch,
        out=out,
    )
