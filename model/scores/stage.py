"""Scores of an experiment: of its captions, its aspects, and of controls beside them; of each video, too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from videocap.extract.json_files import dump_json, load_json
from videocap.model.config import ASPECTS
from videocap.model.scores.baselines import from_templates
from videocap.model.scores.bootstrap import intervals, resampled
from videocap.model.scores.demo import aspect_right, told_right
from videocap.model.scores.meteor import Meteor
from videocap.model.scores.metrics import Scores, score
from videocap.model.scores.quality import quality
from videocap.model.vocabulary import SPECIAL, Vocabulary

NEIGHBOURS = "nearest training videos"


def make(
    folder: Path,
    config: Any,
    *,
    captions: Path,
    references: Path,
    paraphrases: Path,
    train: Path,
    vocabulary: Path,
    neighbours: Path,
    scenes: Path | None = None,
    **trained: Path,
) -> None:
    """Score captions, aspects and, under `controls`, captions of controls; writes scores.json and video_scores.json.

    `interval` in scores.json is where the corpus' scores lie for 95 % of its resampled videos, `references` the sha256
    of the captions' references, `quality` what `quality.quality` says of them. Of each control `ahead` is by how much
    the model's CIDEr is above its, the same videos resampled for both: [low, high]. Each aspect is scored by
    "completion": the generated string of a video against all its reference strings of that aspect. video_scores.json
    is {"caption": `Scores.videos`, "intention": …}.

    Args:
        config: holder of the section score.
        captions: captions.json.
        references, paraphrases: of `model.scores.references`; videos without a caption don't count.
        train: {video id: [caption, …]} of the training split.
        vocabulary: vocabulary.json.
        neighbours: captions.json of `model.scores.neighbours`.
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
    captioned = load_json(train)
    beside[NEIGHBOURS] = texts_of(load_json(neighbours), "caption")
    beside |= from_templates(made, captioned)
    truth = {scene["video"]: scene for scene in map(json.loads, scenes.read_text().splitlines())} if scenes else None

    with Meteor(paraphrases) as meteor:  # one Java for all

        def scored(texts: Mapping[str, str], kind: str = "caption") -> Scores:
            return score(texts, {name: wanted[kind][name] for name in texts}, protocol, meteor, tokenised=True)

        def with_truth(texts: Mapping[str, str], scores: Scores) -> dict[str, Any]:
            return scores.corpus | ({"told_right": told_right(texts, truth)} if truth else {})

        found = {"caption": scored(made)}
        others = {name: scored(texts) for name, texts in beside.items()}
        for aspect in ASPECTS:
            texts = {name: text for name, text in texts_of(rows, aspect).items() if name in wanted[aspect]}
            if texts:
                found[aspect] = scored(texts, aspect)
    controls = {
        name: with_truth(beside[name], scores) | {"ahead": _ahead(found["caption"], scores)}
        for name, scores in others.items()
    }
    spread = {kind: {"interval": intervals(resampled(scores.videos)[0])} for kind, scores in found.items()}
    whole = {"protocol": protocol, "split": split, "videos": len(made), **with_truth(made, found["caption"])}
    whole |= {"quality": quality(made, captioned, Vocabulary.load(vocabulary).words[len(SPECIAL) :])}
    whole |= spread["caption"] | {"references": digest_of({name: wanted["caption"][name] for name in made})}
    aspects = {
        aspect: {"videos": len(scores.videos), **scores.corpus, **spread[aspect]}
        for aspect, scores in found.items()
        if aspect != "caption"
    }
    for aspect, of in aspects.items() if truth else ():
        of["right"] = aspect_right(aspect, texts_of(rows, aspect), truth)
    dump_json(folder / "scores.json", whole | {"aspects": aspects, "controls": controls})
    dump_json(folder / "video_scores.json", {kind: scores.videos for kind, scores in found.items()})


def _ahead(model: Scores, control: Scores) -> list[float]:
    """Where the model's CIDEr less the control's lies for 95 % of resampled corpora."""
    ours, theirs = resampled(model.videos, control.videos)
    return intervals(ours - theirs)["CIDEr"]


def digest_of(references: Mapping[str, list[str]]) -> str:
    """sha256 of tokenised references: scores against others are not comparable."""
    return hashlib.sha256(json.dumps(references, sort_keys=True).encode()).hexdigest()


def texts_of(rows: list[dict[str, str]], kind: str) -> dict[str, str]:
    """Of captions.json each video's caption, or one of its aspects where it has that."""
    return {row["video_id"]: row[kind] for row in rows if kind in row}
