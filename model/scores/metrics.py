"""Caption scores equal to pycocoevalcap's: CIDEr(-D), METEOR, ROUGE-L, BLEU-1 to 4, of a corpus and of its videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from pycocoevalcap.bleu.bleu_scorer import BleuScorer, cook_test
from pycocoevalcap.rouge.rouge import Rouge

from videocap.model.config import METRICS
from videocap.model.scores.bootstrap import bleu_counts
from videocap.model.scores.cider import Consensus, Counts, ngrams
from videocap.model.scores.meteor import Meteor
from videocap.model.scores.protocol import Protocol, check_same, tokenized, video_ids


@dataclass(frozen=True)
class Scores:
    """Fractions by metric, in the order of `METRICS`: of the corpus, and of each video (sorted by id).

    Each video also has `counts`, what the corpus' BLEU and METEOR are made of: see `bootstrap`.
    """

    corpus: dict[str, float]
    videos: dict[str, dict[str, Any]]


def score(
    captions: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    protocol: Protocol = "coco",
    meteor: Meteor | None = None,
    *,
    tokenised: bool = False,
) -> Scores:
    """Scores one caption a video against the video's references, by four scorers.

    An empty caption scores as pycocoevalcap does it: 0, but for ROUGE-L where a reference is empty, too.

    Args:
        captions: video id to caption.
        references: the same video ids to one or more references.
        protocol: `coco` applies the PTB tokenizer to both; `v2c` takes them as they are, as V2C's released code
            does. Control characters and line breaks count as blanks in both.
        meteor: a running process, to save its start when there are several corpora to score; by default an own one.
        tokenised: the references are as the protocol wants them already: `model.scores.references` keeps them so.

    Raises:
        ValueError: the video ids of the two differ, there are none, or a video has no reference.
        JavaError: Java failed (see `model.scores.java`).
    """
    videos = video_ids(references)
    check_same(captions, videos)
    with ExitStack() as stack:
        thread = stack.enter_context(ThreadPoolExecutor(1))
        if meteor is None:
            meteor = stack.enter_context(Meteor())  # starts up while the tokenizer runs, and ends before the thread
        kept = [[] if tokenised else references[video] for video in videos]
        rows = tokenized([[captions[video], *some] for video, some in zip(videos, kept, strict=True)], protocol)
        tokens = [row[0] for row in rows]
        groups = [references[video] for video in videos] if tokenised else [row[1:] for row in rows]
        # METEOR takes over half of the whole time, in a process of its own: the others run beside it.
        running = thread.submit(meteor.score, tokens, groups)
        made = {video: [caption] for video, caption in zip(videos, tokens, strict=True)}
        rouge = Rouge().compute_score(dict(zip(videos, groups, strict=True)), made)
        counted = [[ngrams(text) for text in group] for group in groups]
        consensus = Consensus(counted).score([ngrams(text) for text in tokens])
        bleu = _bleu(tokens, counted)
        precisions = zip(*bleu.compute_score("closest"), strict=True)
        whole, each, statistics = running.result()
        results = [consensus, (whole, each), rouge, *precisions]
    counts = [{"BLEU": bleu_counts(one), "METEOR": two} for one, two in zip(bleu.ctest, statistics, strict=True)]
    return Scores(
        corpus={metric: float(whole) for metric, (whole, _) in zip(METRICS, results, strict=True)},
        videos={
            video: {metric: float(each[i]) for metric, (_, each) in zip(METRICS, results, strict=True)}
            | {"counts": counts[i]}
            for i, video in enumerate(videos)
        },
    )


def _bleu(captions: Sequence[str], references: Sequence[Sequence[Counts]]) -> BleuScorer:
    """pycocoevalcap's scorer, given n-grams as it would count them itself, but only those that a caption can match."""
    scorer = BleuScorer(n=4)
    for caption, group in zip(captions, references, strict=True):
        lengths = [sum(count for ngram, count in counts.items() if len(ngram) == 1) for counts in group]
        most = {ngram: max(counts.get(ngram, 0) for counts in group) for ngram in ngrams(caption)}
        scorer.crefs.append((lengths, most))
        scorer.ctest.append(cook_test(caption, scorer.crefs[-1]))
    return scorer
