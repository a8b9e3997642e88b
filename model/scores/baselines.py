"""What stands beside a model's scores: captions that know the language but not the video."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence


def most_frequent(train: Mapping[str, Sequence[str]]) -> str:
    """The caption that most training videos have; of equals the first in the alphabet."""
    counts = Counter(caption for captions in train.values() for caption in set(captions))
    return min(counts, key=lambda caption: (-counts[caption], caption))


def from_templates(
    captions: Mapping[str, str], train: Mapping[str, Sequence[str]], seed: int = 0
) -> dict[str, dict[str, str]]:
    """What knows the language but not the video: captions by control and video id.

    Args:
        captions: the model's, by video id.
        train: captions of each training video.
        seed: of the shuffle.

    Returns:
        `most frequent train caption`: the same one for every video; `captions shuffled between videos`: the model's
        own, each at another video (where there is more than one).
    """
    ids = sorted(captions)
    random.Random(seed).shuffle(ids)
    shifted = dict(zip(ids, ids[1:] + ids[:1], strict=True))  # a cycle: no caption stays where it was
    return {
        "most frequent train caption": dict.fromkeys(sorted(captions), most_frequent(train)),
        "captions shuffled between videos": {name: captions[shifted[name]] for name in sorted(captions)},
    }
