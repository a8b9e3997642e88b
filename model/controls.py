"""Captions that anything worth the name must beat: what templates and guessing alone earn."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from extract.table import dump_json, load_json
from model.meteor import Meteor
from model.scoring import score


def most_frequent(train: Mapping[str, Sequence[str]]) -> str:
    """The caption that most training videos have; of equals the first in the alphabet."""
    counts = Counter(caption for captions in train.values() for caption in set(captions))
    return min(counts, key=lambda caption: (-counts[caption], caption))


def controls(
    captions: Mapping[str, str], train: Mapping[str, Sequence[str]], seed: int = 0
) -> dict[str, dict[str, str]]:
    """Captions by control and video id.

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


def make(folder: Path, config: Any, *, captions: Path, references: Path, train: Path) -> None:
    """Score captions and, under `controls`, the controls made from them; writes scores.json.

    Args:
        config: holder of the section score.
        captions: captions.json.
        references: {video id: [caption, …]}; videos without a caption don't count.
        train: the same of the training split.
    """
    protocol, split = config.score.protocol, config.score.split
    made = {row["video_id"]: row["caption"] for row in load_json(captions)}
    every = load_json(references)
    wanted = {name: every[name] for name in made}
    with Meteor() as meteor:  # one Java for all three
        scores = score(made, wanted, protocol, meteor).corpus
        beside = {
            name: score(texts, wanted, protocol, meteor).corpus
            for name, texts in controls(made, load_json(train)).items()
        }
    head = {"protocol": protocol, "split": split, "videos": len(made)}
    dump_json(folder / "scores.json", {**head, **scores, "controls": beside})
