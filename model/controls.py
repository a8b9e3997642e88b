"""Scores of captions, and of controls beside them: what templates alone earn, and captioners trained for less."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from extract.table import dump_json, load_json
from extract.toyscene import Scene, judge
from model.meteor import Meteor
from model.scoring import score


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


def make(
    folder: Path,
    config: Any,
    *,
    captions: Path,
    references: Path,
    train: Path,
    scenes: Path | None = None,
    **trained: Path,
) -> None:
    """Score captions and, under `controls`, those of controls; writes scores.json.

    Args:
        config: holder of the section score.
        captions: captions.json.
        references: {video id: [caption, …]}; videos without a caption don't count.
        train: the same of the training split.
        scenes: the truth about the demo's clips; then `told_right` says how many captions tell it.
        trained: captions.json of each control in `score.controls`.
    """
    protocol, split = config.score.protocol, config.score.split
    made = _captions(captions)
    every = load_json(references)
    wanted = {name: every[name] for name in made}
    beside = {f"trained: {name.replace('_', ' ')}": _captions(trained[name]) for name in config.score.controls}
    beside |= from_templates(made, load_json(train))
    truth = {scene["video"]: scene for scene in map(json.loads, scenes.read_text().splitlines())} if scenes else None

    def scored(texts: Mapping[str, str]) -> dict[str, Any]:
        right = {"told_right": told_right(texts, truth)} if truth else {}
        return score(texts, wanted, protocol, meteor).corpus | right

    with Meteor() as meteor:  # one Java for all
        scores = scored(made)
        scores["controls"] = {name: scored(texts) for name, texts in beside.items()}
    dump_json(folder / "scores.json", {"protocol": protocol, "split": split, "videos": len(made), **scores})


def told_right(captions: Mapping[str, str], scenes: Mapping[str, Scene]) -> dict[str, dict[str, float]]:
    """How many clips there are of seen and of unseen combinations, and the share of them that `judge` finds right."""
    shares = {}
    for half, seen in (("seen", True), ("unseen", False)):
        judged = [judge(text, scenes[name]) for name, text in captions.items() if scenes[name]["seen"] == seen]
        if judged:
            right = {part: sum(clip[part] for clip in judged) / len(judged) for part in judged[0]}
            shares[half] = {"clips": len(judged), **right}
    return shares


def _captions(file: Path) -> dict[str, str]:
    return {row["video_id"]: row["caption"] for row in load_json(file)}
