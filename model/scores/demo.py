"""What captions and aspects tell right of the demo's clips, whose scenes are known."""

from __future__ import annotations

from collections.abc import Mapping

from videocap.extract.toy.scene import Scene, judge, judge_aspect


def told_right(captions: Mapping[str, str], scenes: Mapping[str, Scene]) -> dict[str, dict[str, float]]:
    """How many clips there are of seen and of unseen combinations, and the share of them that `judge` finds right."""
    shares = {}
    for half, seen in (("seen", True), ("unseen", False)):
        judged = [judge(text, scenes[name]) for name, text in captions.items() if scenes[name]["seen"] == seen]
        if judged:
            right = {part: sum(clip[part] for clip in judged) / len(judged) for part in judged[0]}
            shares[half] = {"clips": len(judged), **right}
    return shares


def aspect_right(aspect: str, texts: Mapping[str, str], scenes: Mapping[str, Scene]) -> float:
    """The share of an aspect's texts that their clips' scenes have."""
    return sum(judge_aspect(aspect, text, scenes[name]) for name, text in texts.items()) / len(texts)
