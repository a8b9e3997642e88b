"""Scores of an experiment: of its captions, its aspects, and of controls beside them; of each video, too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from extract.table import dump_json, load_json
from model.bootstrap import intervals, resampled
from model.config import ASPECTS
from model.controls import from_templates, told_right
from model.meteor import Meteor
from model.scoring import Scores, score


def make(
    folder: Path,
    config: Any,
    *,
    captions: Path,
    references: Path,
    paraphrases: Path,
    train: Path,
    scenes: Path | None = None,
    **trained: Path,
) -> None:
    """Score captions, aspects and, under `controls`, captions of controls; writes scores.json and video_scores.json.

    `interval` in scores.json is where the corpus' scores lie for 95 % of its resampled videos. Each aspect is scored
    by "completion": the generated string of a video against all its reference strings of that aspect.

    Args:
        config: holder of the section score.
        captions: captions.json.
        references, paraphrases: of `model.references`; videos without a caption don't count.
        train: {video id: [caption, …]} of the training split.
        scenes: the truth about the demo's clips; then `told_right` says how many captions tell it.
        trained: captions.json of each control in `score.controls`.
    """
    protocol, split = config.score.protocol, config.score.split
    rows, wanted = load_json(captions), load_json(references)
    made = texts_of(rows, "caption")
    beside = {
        f"trained: {name.replace('_', ' ')}": texts_of(load_json(trained[name]), "caption")
        for name in config.score.controls
    }
    beside |= from_templates(made, load_json(train))
    truth = {scene["video"]: scene for scene in map(json.loads, scenes.read_text().splitlines())} if scenes else None

    with Meteor(paraphrases) as meteor:  # one Java for all

        def scored(texts: Mapping[str, str], kind: str = "caption") -> Scores:
            return score(texts, {name: wanted[kind][name] for name in texts}, protocol, meteor, tokenised=True)

        def with_truth(texts: Mapping[str, str], scores: Scores) -> dict[str, Any]:
            return scores.corpus | ({"told_right": told_right(texts, truth)} if truth else {})

        model = scored(made)
        controls = {name: with_truth(texts, scored(texts)) for name, texts in beside.items()}
        aspects = {}
        for aspect in ASPECTS:
            texts = {name: text for name, text in texts_of(rows, aspect).items() if name in wanted[aspect]}
            if texts:
                aspects[aspect] = {"videos": len(texts), **scored(texts, aspect).corpus}
    whole = {"protocol": protocol, "split": split, "videos": len(made), **with_truth(made, model)}
    spread = {"interval": intervals(resampled(model.videos)[0])}
    dump_json(folder / "scores.json", whole | spread | {"aspects": aspects, "controls": controls})
    dump_json(folder / "video_scores.json", model.videos)


def texts_of(rows: list[dict[str, str]], kind: str) -> dict[str, str]:
    """Of captions.json each video's caption, or one of its aspects where it has that."""
    return {row["video_id"]: row[kind] for row in rows if kind in row}
