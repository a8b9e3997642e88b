"""`videocap score`: the scores of any captions."""

from __future__ import annotations

import argparse
import json
import sys

from videocap.extract.corpus.scored_files import load_captions, load_references
from videocap.model.scores import metrics
from videocap.pipeline.words import printable


def show_scores(chosen: argparse.Namespace) -> int:
    """Print the scores of a captions file."""
    captions = load_captions(chosen.captions)
    references, warnings = load_references(chosen.references, captions, chosen.split)
    print("".join(f"warning: {printable(text)}\n" for text in warnings), end="", file=sys.stderr)
    scores = metrics.score(captions, references, chosen.protocol).corpus
    print(json.dumps(scores) if chosen.json else "\n".join(f"{name:<8} {value:.4f}" for name, value in scores.items()))
    return 0
