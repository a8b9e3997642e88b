"""How far scores depend on which videos were scored: the corpus' scores of videos drawn again and again from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from videocap.model.config import METRICS

SAMPLES, SHARE = 1000, 0.95
AT_ONCE = 100  # samples, which bounds memory
# METEOR 1.5 for English: weights of exact, stem, synonym and paraphrase matches, and its other parameters.
_MATCHERS, _ALPHA, _BETA, _GAMMA, _DELTA = np.array([1.0, 0.6, 0.8, 0.6]), 0.85, 0.2, 0.6, 0.75

VideoScores = Mapping[str, Mapping[str, Any]]
"""What `metrics.Scores.videos` holds: by video id its scores, and under `counts` what BLEU and METEOR are sums of."""


def corpus_scores(videos: VideoScores, draws: np.ndarray) -> np.ndarray:
    """The corpus' scores if each video (sorted by id) were in it so many times: `draws` (B, N) to (B, 7).

    Columns as `METRICS`. BLEU and METEOR are functions of counts that are summed over the corpus, not means of the
    videos' scores; CIDEr and ROUGE-L are means. How rare words are, to CIDEr, stays as in the whole corpus.
    """
    rows = [videos[name] for name in sorted(videos)]
    means = np.array([[row["CIDEr"], row["ROUGE-L"]] for row in rows])
    bleu = np.array([row["counts"]["BLEU"] for row in rows], float)
    meteor = np.array([_chunks_that_count(row["counts"]["METEOR"]) for row in rows])
    draws = draws.astype(float)
    consensus, rouge = (draws @ means / draws.sum(1, keepdims=True)).T
    return np.column_stack((consensus, _meteor(draws @ meteor), rouge, _bleu(draws @ bleu)))


def resampled(*corpora: VideoScores, samples: int = SAMPLES, seed: int = 0) -> list[np.ndarray]:
    """Scores (B, 7) of each corpus for `samples` draws, with replacement, of as many videos as there are.

    All corpora are of the same videos, and each draw is the same in all: a paired bootstrap.
    """
    names = {frozenset(videos) for videos in corpora}
    if len(names) != 1:
        raise ValueError("only scores of the same videos can be resampled in pairs")
    count, generator = len(corpora[0]), np.random.default_rng(seed)
    parts = []
    for start in range(0, samples, AT_ONCE):
        draws = generator.multinomial(count, np.full(count, 1 / count), size=min(AT_ONCE, samples - start))
        parts.append([corpus_scores(videos, draws) for videos in corpora])
    return [np.concatenate(of_corpus) for of_corpus in zip(*parts, strict=True)]


def intervals(scores: np.ndarray) -> dict[str, list[float]]:
    """By metric where the middle `SHARE` of the samples' scores (B, 7) lie: [low, high]."""
    low, high = np.quantile(scores, [(1 - SHARE) / 2, (1 + SHARE) / 2], axis=0)
    return {metric: [float(low[i]), float(high[i])] for i, metric in enumerate(METRICS)}


def bleu_counts(compared: Mapping[str, Any]) -> list[int]:
    """What pycocoevalcap counts of one caption: words, words of the reference nearest in length, n-grams, matches."""
    length = compared["testlen"]
    nearest = min((abs(other - length), other) for other in compared["reflen"])[1]
    return [length, nearest, *compared["guess"], *compared["correct"]]


def _bleu(sums: np.ndarray) -> np.ndarray:
    """BLEU-1 to 4 of summed `bleu_counts`, with pycocoevalcap's guards against zero: (B, 10) to (B, 4)."""
    tiny, small = 1e-15, 1e-9
    length, nearest, guesses, correct = sums[:, :1], sums[:, 1:2], sums[:, 2:6], sums[:, 6:]
    precisions = np.cumprod((correct + tiny) / (guesses + small), axis=1) ** (1 / np.arange(1, 5))
    ratio = (length + tiny) / (nearest + small)
    return precisions * np.exp(np.minimum(0, 1 - 1 / ratio))


def _chunks_that_count(counts: Sequence[float]) -> list[float]:
    """METEOR lets the one chunk of a caption that matches its reference as a whole go unpunished, in sums as well."""
    whole = counts[21] == counts[0] and counts[22] == counts[1] and counts[20] == 1
    return [*counts[:20], 0.0 if whole else counts[20], *counts[21:]]


def _meteor(sums: np.ndarray) -> np.ndarray:
    """METEOR of its summed statistics: (B, 23) to (B).

    These are, of caption and reference: words, function words, then by matcher matched content words and function
    words; the number of chunks; matched words.
    """
    words, function, matched = sums[:, :2], sums[:, 2:4], sums[:, 4:20].reshape(-1, 4, 2, 2)
    # (B, matcher, content or function, caption or reference)
    hits = np.einsum("bmfc,m,f->bc", matched, _MATCHERS, np.array([_DELTA, 1 - _DELTA]))
    length = _DELTA * (words - function) + (1 - _DELTA) * function
    some = (hits > 0).all(1)
    precision, recall = np.divide(hits, length, out=np.ones_like(hits), where=some[:, None]).T
    mean = 1 / ((1 - _ALPHA) / precision + _ALPHA / recall)
    fragments = np.divide(sums[:, 20], sums[:, 21:].mean(1), out=np.zeros(len(sums)), where=some)
    return np.where(some, mean * (1 - _GAMMA * fragments**_BETA), 0.0)
