"""Captions that need no captioner: of the training videos that look most like a video, the one that agrees most."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from videocap.extract.json_files import dump_json
from videocap.extract.shards import split
from videocap.extract.shards.shard import Features
from videocap.model.scores.cider import LONGEST, Counts, ngrams
from videocap.model.vocabulary import tokenize

NEAREST, MOST = 20, 5  # training videos, and captions of each, among which the caption is chosen
AT_ONCE = 256  # videos compared with all training videos, which bounds memory
COUNTED, KEPT = 20_000, 50_000  # training videos whose n-grams are counted, and captions whose vectors are kept


def make(
    folder: Path,
    config: Any,
    *,
    videos: Path,
    rows: Mapping[str, Path],
    videos_train: Path,
    rows_train: Mapping[str, Path],
    captions_train: Path,
) -> None:
    """Write captions.json of a split, as a captioner would.

    Args:
        config: not read; which split it is, `videos` says.
        videos, videos_train: tables of the corpus.
        rows, rows_train: the feature shard of each video's digest.
        captions_train: {video id: [caption, …]}.
    """
    known, features = split.load(videos_train, rows_train, captions_train)
    wanted, own = split.load(videos, rows)
    near = nearest(video_means(features), video_means(own), [v.id for v in known], [v.id for v in wanted])
    texts = most_agreed([[text for text in video.captions if tokenize(text)][:MOST] for video in known], near)
    said = [{"video_id": video.id, "caption": text} for video, text in zip(wanted, texts, strict=True)]
    dump_json(folder / "captions.json", sorted(said, key=lambda row: row["video_id"]))


def video_means(features: Features) -> np.ndarray:
    """The mean of each video's rows, float32 (V, d)."""
    bounds = zip(features.offsets[:-1], features.offsets[1:], strict=True)
    means = [features.values[start:end].mean(0, dtype=np.float32) for start, end in bounds]
    return np.stack(means) if means else np.empty((0, features.values.shape[1]), np.float32)


def nearest(
    known: np.ndarray, wanted: np.ndarray, known_ids: Sequence[str], ids: Sequence[str], count: int = NEAREST
) -> Iterator[list[int]]:
    """Of each of `wanted` (W, d) the places in `known` (V, d) of those most like it, the nearest first.

    By the cosine of what is left when the mean over `known` is taken off and each coordinate has unit deviation. A
    video is not its own neighbour.
    """
    mean, deviation = known.mean(0), known.std(0)
    deviation[deviation < 1e-6] = 1.0

    def unit(rows: np.ndarray) -> np.ndarray:
        rows = (rows - mean) / deviation
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

    places = {name: place for place, name in enumerate(known_ids)}
    directions = unit(known)
    for start in range(0, len(wanted), AT_ONCE):
        alike = unit(wanted[start : start + AT_ONCE]) @ directions.T  # (W, V)
        for row, name in zip(alike, ids[start : start + AT_ONCE], strict=True):
            if name in places:
                row[places[name]] = -np.inf
            some = np.sort(np.argpartition(-row, min(count, len(row)) - 1)[:count])
            best = some[np.argsort(-row[some], kind="stable")]
            yield best[np.isfinite(row[best])].tolist()


def most_agreed(captions: Sequence[Sequence[str]], near: Iterable[Sequence[int]]) -> list[str]:
    """For each list of places in `captions` the one of their captions that is most like the others.

    By CIDEr's measure: the cosine of n-grams weighed by how few videos have them (of at most `COUNTED` videos, spread
    evenly), mean of n from 1 to 4.
    """
    counted = captions[:: -(-len(captions) // COUNTED) or 1]
    frequency = Counter(chain.from_iterable(set().union(*map(_ngrams, group)) for group in counted))

    @lru_cache(KEPT)
    def vector(text: str) -> dict[tuple[str, ...], float]:
        return _unit(_ngrams(text), frequency, len(counted))

    chosen = []
    for places in near:
        texts = [text for place in places for text in captions[place]]
        total: Counter = Counter()
        for text in texts:
            total.update(vector(text))
        alike = [sum(weight * (total[ngram] - weight) for ngram, weight in vector(text).items()) for text in texts]
        # rounded, so that of equal ones the first is taken, of the nearer video
        chosen.append(texts[max(range(len(texts)), key=lambda i: round(alike[i], 9))] if texts else "")
    return chosen


def _ngrams(text: str) -> Counts:
    return ngrams(" ".join(tokenize(text)))


def _unit(text: Counts, frequency: Mapping[tuple[str, ...], int], videos: int) -> dict[tuple[str, ...], float]:
    """A text's n-grams, those of each n with length 1 together."""
    weights = {ngram: count * math.log(videos / frequency.get(ngram, 1)) for ngram, count in text.items()}
    squares = [0.0] * (LONGEST + 1)
    for ngram, weight in weights.items():
        squares[len(ngram)] += weight**2
    return {ngram: weight / math.sqrt(squares[len(ngram)]) for ngram, weight in weights.items() if weight}
