"""V2C's commonsense annotations: {video: [{"intention": [[raw, tokens], …], "effect": …, "attribute": …}, …]}."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from videocap.extract.corpus.annotations import Entry, clean
from videocap.extract.corpus.left_out import LeftOut
from videocap.extract.corpus.rows import ASPECTS
from videocap.extract.corpus.source import CorpusError, load_once

_MARKS = re.compile(r"</?(?:sos|eos)>", re.IGNORECASE)


def add_commonsense(entries: Mapping[str, Entry], path: Path, left_out: LeftOut) -> None:
    """Add the aspects of `V2C_MSR-VTT_caption.json` to their videos.

    Of each pair the raw string counts, without `<sos>` and `<eos>`; each text once a video. Its captions are
    MSR-VTT's, in tokens, and are not used.

    Raises:
        CorpusError: another layout, or a video twice.
    """
    tree = load_once(path)
    if not isinstance(tree, dict):
        raise CorpusError(f"{path}: not in V2C's layout, {{video: [{{aspect: [[text, [token, …]], …]}}, …]}}")
    for name, captions in tree.items():
        for aspect in ASPECTS:
            try:
                pairs = [pair for caption in captions for pair in caption.get(aspect, ())]
                raw = [pair[0] for pair in pairs if isinstance(pair, list) and isinstance(pair[0], str)]
            except (AttributeError, IndexError, TypeError):
                raw, pairs = [], [None]
            if len(raw) < len(pairs):
                raise CorpusError(f"{path}: {name}: {aspect} is not in V2C's layout, [[text, [token, …]], …]")
            texts = [clean(_MARKS.sub(" ", text)) for text in raw]
            if not all(texts):
                left_out.add("empty_commonsense", name, texts.count(""))
            if name in entries and any(texts):
                mine = entries[name].aspects.setdefault(aspect, [])
                mine += [text for text in dict.fromkeys(texts) if text and text not in mine]
        if name not in entries:
            left_out.add("videos_with_commonsense_only", name)
