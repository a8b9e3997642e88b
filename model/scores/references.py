"""References as the scores want them, tokenised once: an artifact that every experiment on the same split shares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from videocap.extract.json_files import dump_json, load_json
from videocap.model.config import ASPECTS
from videocap.model.scores.paraphrases import write_subset
from videocap.model.scores.protocol import tokenized

SUBSET = "paraphrases.gz"


def make(folder: Path, config: Any, *, captions: Path, aspects: Path) -> None:
    """Tokenise a split's captions and aspects by the protocol; writes references.json and paraphrases.gz.

    That is {"caption": {video id: [tokens joined by blanks, …]}, "intention": …, "effect": …, "attribute": …}; of
    aspects only videos that have it. The other is METEOR's table as far as these references can match it.

    Args:
        config: holder of the section score.
        captions: {video id: [caption, …]}.
        aspects: {video id: {aspect: [text, …]}}.

    Raises:
        ValueError: if the split has no videos.
    """
    told = load_json(aspects)
    texts = {"caption": load_json(captions)}
    if not texts["caption"]:  # said before anything is trained
        raise ValueError(f"the {config.score.split} split has no videos to score: choose another score.split")
    texts |= {aspect: {name: of[aspect] for name, of in told.items() if of.get(aspect)} for aspect in ASPECTS}
    keys = [(kind, name) for kind, groups in texts.items() for name in groups]
    rows = tokenized([texts[kind][name] for kind, name in keys], config.score.protocol)
    references: dict[str, dict[str, list[str]]] = {kind: {} for kind in texts}
    for (kind, name), row in zip(keys, rows, strict=True):
        references[kind][name] = row
    dump_json(folder / "references.json", references)
    write_subset((text for groups in references.values() for row in groups.values() for text in row), folder / SUBSET)
