"""Scores of 2,990 videos with 20 references each: ours against pycocoevalcap's tokenizer and four scorers in turn.

    python benchmarks/scoring.py [--videos 2990] [--rounds 3]

The videos are MSR-VTT's 497 of its validation split, six times over and with a word that differs; the captions are
some of other videos. The sides take turns in one process; medians of the rounds. All must give the same scores, to
the last digit: ids are sorted, because the order of sums decides that.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer
from stores import medians

from videocap.model.scores import java
from videocap.model.scores.bootstrap import resampled
from videocap.model.scores.meteor import Meteor as OurMeteor
from videocap.model.scores.metrics import Scores, score
from videocap.model.scores.paraphrases import write_subset
from videocap.model.scores.protocol import tokenized

CAPTIONS = Path(__file__).parents[1].parent / "shared" / "data" / "msrvtt" / "val.json"


def corpus(videos: int) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Captions and references by video."""
    groups = [list(of.values()) for of in json.loads(CAPTIONS.read_text(encoding="utf-8")).values()]
    draw = random.Random(0)
    references = {
        f"video{i:04}": [
            f"{text} {draw.choice(('outside', 'inside', 'today', 'again'))}" for text in groups[i % len(groups)]
        ]
        for i in range(videos)
    }
    captions = {f"video{i:04}": draw.choice(groups[(i + draw.randrange(2)) % len(groups)]) for i in range(videos)}
    return captions, references


def theirs(captions: dict[str, str], references: dict[str, list[str]]) -> dict[str, float]:
    """As COCO's evaluation does it, in its order, but without SPICE."""
    wanted = PTBTokenizer().tokenize({v: [{"caption": text} for text in of] for v, of in references.items()})
    made = PTBTokenizer().tokenize({v: [{"caption": text}] for v, text in captions.items()})
    bleu, scorers = Bleu(4), {"METEOR": Meteor(), "ROUGE-L": Rouge(), "CIDEr": Cider()}
    precisions, _ = bleu.compute_score(wanted, made, verbose=0)
    found = {name: float(scorer.compute_score(wanted, made)[0]) for name, scorer in scorers.items()}
    return found | {f"BLEU-{i + 1}": value for i, value in enumerate(precisions)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--videos", type=int, default=2990)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    os.environ["PATH"] = f"{java.JAVA.parent}{os.pathsep}{os.environ['PATH']}"  # pycocoevalcap calls `java`
    captions, references = corpus(chosen.videos)
    names = list(references)
    tokens = dict(zip(names, tokenized([references[name] for name in names], "coco"), strict=True))
    subset = Path(tempfile.mkdtemp()) / "paraphrases.gz"
    write_subset((text for group in tokens.values() for text in group), subset)

    def cached() -> Scores:
        with OurMeteor(subset) as meteor:
            return score(captions, tokens, meteor=meteor, tokenised=True)

    found = theirs(captions, references), score(captions, references).corpus, cached().corpus
    assert found[0] == found[1] == found[2]
    videos = cached().videos
    sides: dict[str, Callable[[], object]] = {
        "theirs": lambda: theirs(captions, references),
        "ours": lambda: score(captions, references),
        "cached": cached,
        "bootstrap": lambda: resampled(videos),
    }
    seconds = medians(sides, chosen.rounds)
    count = sum(map(len, references.values()))
    print(f"{chosen.videos} videos, {count} references; seconds, medians of {chosen.rounds} rounds:")
    print(" ".join(f"{name} {value:.2f}" for name, value in seconds.items()))
    print(f"ours over theirs: {seconds['ours'] / seconds['theirs']:.2f}")
    print(f"… with what the stage References keeps: {seconds['cached'] / seconds['theirs']:.2f}")
    print(f"1,000 resampled corpora, over our scores: {seconds['bootstrap'] / seconds['ours']:.2f}")


if __name__ == "__main__":
    main()
