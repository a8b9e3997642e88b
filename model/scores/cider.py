"""CIDEr-D: pycocoevalcap's arithmetic, digit by digit, without doing it again for every caption."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from videocap.model.scores.protocol import Protocol, check_same, tokenized, video_ids

LONGEST, SIGMA = 4, 6.0
Counts = Mapping[tuple[str, ...], int]


def ngrams(text: str) -> Counts:
    """How often each sequence of 1 to 4 words stands in a text, the shorter ones first."""
    words = text.split()
    return Counter(
        chain.from_iterable(zip(*(words[i:] for i in range(n)), strict=False) for n in range(1, LONGEST + 1))
    )


class CiderScorer:
    """CIDEr of one caption a video, again and again against the same references, as validation needs it.

    The references are tokenised and their n-grams counted once.
    Arguments and errors as in `metrics.score`.
    """

    def __init__(self, references: Mapping[str, Sequence[str]], protocol: Protocol = "coco") -> None:
        self._videos = video_ids(references)
        self._protocol: Protocol = protocol
        groups = tokenized([references[video] for video in self._videos], protocol)
        self._consensus = Consensus([[ngrams(text) for text in group] for group in groups])

    def score(self, captions: Mapping[str, str]) -> float:
        """CIDEr of the corpus, as a fraction; equal to `score(captions, references).corpus["CIDEr"]`."""
        check_same(captions, self._videos)
        rows = tokenized([[captions[video]] for video in self._videos], self._protocol)
        return float(self._consensus.score([ngrams(row[0]) for row in rows])[0])


class Consensus:
    """CIDEr-D of one caption a video, again and again against the same references.

    The order of sums is pycocoevalcap's, so that all digits are its. What it computes for each n-gram of each reference
    each time, the inverse document frequency and the reference's norm, is computed once here.

    Args:
        references: n-grams of each reference of each video.
    """

    def __init__(self, references: Sequence[Sequence[Counts]]) -> None:
        self._references = references
        frequency = Counter(chain.from_iterable(set().union(*group) for group in references))
        # by document frequency; NumPy's logarithm, whose last digit may not be that of `math`
        inverse = [float(np.log(float(len(references))) - np.log(max(1.0, df))) for df in range(len(references) + 1)]
        self._unseen = inverse[0]
        self._inverse = {ngram: inverse[df] for ngram, df in frequency.items()}
        self._norms = [[self._norm(counts) for counts in group] for group in references]
        self._lengths = [[_bigrams(counts) for counts in group] for group in references]

    def score(self, captions: Sequence[Counts]) -> tuple[float, list[float]]:
        """CIDEr-D of the corpus and of each caption, given its n-grams."""
        each = [self.one(i, caption) for i, caption in enumerate(captions)]
        return np.mean(np.array(each)), each

    def one(self, video: int, caption: Counts, but: int | None = None) -> float:
        """CIDEr-D of one caption of one video, given its n-grams; against all its references `but` that one."""
        weights = [(ngram, count * self._inverse.get(ngram, self._unseen)) for ngram, count in caption.items()]
        norm, length = self._norm(caption), _bigrams(caption)
        total = [0.0] * LONGEST
        group = list(zip(self._references[video], self._norms[video], self._lengths[video], strict=True))
        if but is not None:
            del group[but]
        for reference, other_norm, other_length in group:
            value = [0.0] * LONGEST
            for ngram, weight in weights:
                if ngram in reference:
                    other = reference[ngram] * self._inverse[ngram]
                    value[len(ngram) - 1] += min(weight, other) * other
            penalty = np.e ** (-(float(length - other_length) ** 2) / (2 * SIGMA**2))
            for n in range(LONGEST):
                if norm[n] != 0 and other_norm[n] != 0:
                    value[n] /= norm[n] * other_norm[n]
                total[n] += value[n] * penalty
        return np.mean(np.array(total)) / len(group) * 10.0

    def _norm(self, counts: Counts) -> list[float]:
        """The lengths of a text's vectors of 1- to 4-grams."""
        squares = [0.0] * LONGEST
        for ngram, count in counts.items():
            squares[len(ngram) - 1] += (count * self._inverse.get(ngram, self._unseen)) ** 2
        return [math.sqrt(square) for square in squares]


def _bigrams(counts: Counts) -> int:
    """A text's length as pycocoevalcap takes it: the number of its bigrams."""
    return sum(count for ngram, count in counts.items() if len(ngram) == 2)
