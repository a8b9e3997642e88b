"""Caption scores equal to pycocoevalcap's: CIDEr(-D), METEOR, ROUGE-L, BLEU-1 to 4, of a corpus and of its videos."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider import cider_scorer
from pycocoevalcap.rouge.rouge import Rouge

from model.java import clean
from model.meteor import Meteor
from model.ptb import tokenize

Protocol = Literal["coco", "v2c"]
METRICS = ("CIDEr", "METEOR", "ROUGE-L", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4")


@dataclass(frozen=True)
class Scores:
    """Fractions by metric, in the order of `METRICS`: of the corpus, and of each video (sorted by id)."""

    corpus: dict[str, float]
    videos: dict[str, dict[str, float]]


def score(
    captions: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    protocol: Protocol = "coco",
    meteor: Meteor | None = None,
) -> Scores:
    """Scores one caption a video against the video's references, by four scorers.

    An empty caption scores as pycocoevalcap does it: 0, but for ROUGE-L where a reference is empty, too.

    Args:
        captions: video id to caption.
        references: the same video ids to one or more references.
        protocol: `coco` applies the PTB tokenizer to both; `v2c` takes them as they are, as V2C's released code
            does. Control characters and line breaks count as blanks in both.
        meteor: a running process, to save its start when there are several corpora to score; by default an own one.

    Raises:
        ValueError: the video ids of the two differ, there are none, or a video has no reference.
        JavaError: Java failed (see `model.java`).
    """
    videos = _videos(references)
    _check_same(captions, videos)
    with ExitStack() as stack:
        thread = stack.enter_context(ThreadPoolExecutor(1))
        if meteor is None:
            meteor = stack.enter_context(Meteor())  # starts up while the tokenizer runs, and ends before the thread
        rows = _tokens([[captions[video], *references[video]] for video in videos], protocol)
        tokens = [row[0] for row in rows]
        groups = [row[1:] for row in rows]
        # METEOR takes over half of the whole time, in a process of its own: the others run beside it.
        running = thread.submit(meteor.score, tokens, groups)
        made = {video: [caption] for video, caption in zip(videos, tokens, strict=True)}
        wanted = dict(zip(videos, groups, strict=True))
        bleu = Bleu(4).compute_score(wanted, made, verbose=0)
        rouge = Rouge().compute_score(wanted, made)
        cider = _cider(_cider_references(groups), tokens)
        results = [cider, running.result(), rouge, *zip(*bleu, strict=True)]
    return Scores(
        corpus={metric: float(whole) for metric, (whole, _) in zip(METRICS, results, strict=True)},
        videos={
            video: {metric: float(each[i]) for metric, (_, each) in zip(METRICS, results, strict=True)}
            for i, video in enumerate(videos)
        },
    )


class CiderScorer:
    """CIDEr of one caption a video, again and again against the same references, as validation needs it.

    The references are tokenised and their document frequencies counted once. Arguments and errors as in `score`.
    """

    def __init__(self, references: Mapping[str, Sequence[str]], protocol: Protocol = "coco") -> None:
        self._videos = _videos(references)
        self._protocol: Protocol = protocol
        self._references = _cider_references(_tokens([references[video] for video in self._videos], protocol))

    def score(self, captions: Mapping[str, str]) -> float:
        """CIDEr of the corpus, as a fraction; equal to `score(captions, references).corpus["CIDEr"]`."""
        _check_same(captions, self._videos)
        rows = _tokens([[captions[video]] for video in self._videos], self._protocol)
        return float(_cider(self._references, [row[0] for row in rows])[0])


def _videos(references: Mapping[str, Sequence[str]]) -> list[str]:
    """The sorted video ids; raises ValueError unless there are some and each has references."""
    if not references:
        raise ValueError("there are no references to score against")
    # A string would pass for a list of references, one a letter.
    if strings := [video for video, group in references.items() if isinstance(group, str)]:
        raise ValueError(f"the references of {_some(strings)} are one string, not a list of strings")
    if empty := [video for video, group in references.items() if not group]:
        raise ValueError(f"no references for {_some(empty)}: add some, or leave them out of captions and references")
    return sorted(references)


def _check_same(captions: Collection[str], videos: Collection[str]) -> None:
    """Raises ValueError unless the captions are of just these videos."""
    problems = []
    if missing := set(videos).difference(captions):
        problems.append(f"no caption for {_some(missing)}")
    if surplus := set(captions).difference(videos):
        problems.append(f"no references for {_some(surplus)}")
    if problems:
        raise ValueError(f"captions and references are not of the same videos: {'; '.join(problems)}")


def _some(videos: Collection[str]) -> str:
    """`2 videos (video1, video7)`, with three names at most."""
    names = ", ".join(sorted(videos)[:3]) + (", …" if len(videos) > 3 else "")
    return f"{len(videos)} video{'s' * (len(videos) > 1)} ({names})"


def _tokens(rows: Sequence[Sequence[str]], protocol: Protocol) -> list[list[str]]:
    """The rows with every string as the protocol wants it: one start of Java for all, or none."""
    flat = [text for row in rows for text in row]
    if protocol == "coco":
        done = iter(tokenize(flat))
    elif protocol == "v2c":
        done = map(clean, flat)
    else:
        raise ValueError(f"protocol is {protocol!r}, must be 'coco' or 'v2c'")
    return [[next(done) for _ in row] for row in rows]


def _cider_references(groups: Sequence[Sequence[str]]) -> cider_scorer.CiderScorer:
    """pycocoevalcap's scorer with references and their document frequencies, but no captions yet."""
    scorer = cider_scorer.CiderScorer()
    for group in groups:
        scorer.cook_append(None, group)
    scorer.compute_doc_freq()
    return scorer


def _cider(scorer: cider_scorer.CiderScorer, tokens: Sequence[str]) -> tuple[float, list[float]]:
    """CIDEr of the corpus and of each caption. `compute_score` would count the document frequencies once more."""
    scorer.ctest = [cider_scorer.cook_test(caption) for caption in tokens]
    each = scorer.compute_cider()
    return np.mean(np.array(each)), each
