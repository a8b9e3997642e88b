"""What tells a bad captioner before any score does: the same caption for many videos, few words, copies of training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from videocap.model.vocabulary import tokenize

OFTEN = 0.05  # share of the videos from which on a caption that they have in common is named
BROKEN = set("a an the and or of in on at to with for from by into is are his her their its while that".split())
"""Words that end no English caption: what self-critical training is known to leave at the end."""


def quality(captions: Mapping[str, str], train: Mapping[str, Sequence[str]], known: Iterable[str]) -> dict[str, Any]:
    """What is said of the captions of a split, whatever its references are.

    Args:
        captions: by video id.
        train: the captions of each training video.
        known: the words that the captioner knows; those that are in no caption (but in aspects) don't count.

    Returns:
        {"distinct": the share of the captions that is left when each counts once, "words": how many different ones
        they use, "known": of how many, "copied": the share that is a training caption word for word, "broken_off":
        the share that ends in one of `BROKEN`, "repeated": [[caption, share of the videos that have it], …], the most
        frequent first}.
    """
    texts = {name: " ".join(tokenize(text)) for name, text in captions.items()}
    counts = Counter(texts.values())
    trained = {" ".join(tokenize(text)) for group in train.values() for text in group}
    used = {word for text in counts for word in text.split()}
    often = sorted((-count, text) for text, count in counts.items() if count > max(1, OFTEN * len(texts)))
    return {
        "distinct": len(counts) / len(texts),
        "words": len(used),
        "known": len({word for text in trained for word in text.split()}.intersection(known)),
        "copied": sum(count for text, count in counts.items() if text in trained) / len(texts),
        "broken_off": sum(text.rpartition(" ")[2] in BROKEN for text in texts.values()) / len(texts),
        "repeated": [[text, -count / len(texts)] for count, text in often],
    }
