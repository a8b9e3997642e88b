"""Several trained captioners that write together: each word by the mean of their probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from videocap.model.captioner import saved
from videocap.model.captioner.captioner import CAPTION, Captioner, Memory
from videocap.model.captioner.decoder import Cache
from videocap.model.vocabulary import Vocabulary


@dataclass(frozen=True)
class Memories:
    """What each captioner sees of B videos."""

    parts: list[Memory]

    @property
    def frames(self) -> Tensor:
        """(B, N) bool, True at real frames."""
        return self.parts[0].frames


@dataclass
class Caches:
    """What each decoder keeps between two steps."""

    parts: list[Cache]

    def select(self, rows: Tensor, videos: Tensor) -> None:
        """As `Cache.select`."""
        for part in self.parts:
            part.select(rows, videos)


class Ensemble:
    """Captioners of one vocabulary and one kind of features, as one that `search` can use.

    Aspects are written by the first alone: others may have none, or others.
    """

    def __init__(self, models: Sequence[Captioner]) -> None:
        self.models = models
        self.aspects = models[0].aspects
        longest = min(model.max_tokens[CAPTION] for model in models)
        self.max_tokens = {**models[0].max_tokens, CAPTION: longest}

    def eval(self) -> Ensemble:
        for model in self.models:
            model.eval()
        return self

    def encode(self, frames: Tensor, mask: Tensor) -> Memories:
        """As `Captioner.encode`."""
        return Memories([model.encode(frames, mask) for model in self.models])

    def start(self, memory: Memories, source: str) -> Caches:
        """As `Captioner.start`."""
        return Caches([m.start(part, source) for m, part in zip(self._of(source), memory.parts, strict=False)])

    def step(self, source: str, tokens: Tensor, cache: Caches) -> Tensor:
        """Log-probabilities (B, K, V) of the word after `tokens` (B, K)."""
        pairs = zip(self._of(source), cache.parts, strict=True)
        chances = [model.step(source, tokens, part).log_softmax(-1) for model, part in pairs]
        return torch.stack(chances).logsumexp(0) - math.log(len(chances))

    def _of(self, source: str) -> Sequence[Captioner]:
        return self.models[:1] if source in self.aspects else self.models


def load(folder: Path, others: Sequence[Path], device: torch.device | str) -> tuple[Captioner | Ensemble, Vocabulary]:
    """The captioner of `folder`, together with those of `others`, and its vocabulary.

    Raises:
        ValueError: naming a folder whose model does not go with the first.
    """
    networks, vocabulary = saved.load(folder, device)
    first = networks[0]
    for other in others:
        more, words = saved.load(other, device)
        if words != vocabulary:
            raise ValueError(
                f"{other}: its model has other words, so it can't write with the others: train both on one"
            )
        mean = more[0].feature_mean
        same = mean.shape == first.feature_mean.shape
        if not same or not torch.allclose(mean, first.feature_mean, atol=0.1 * float(first.feature_std.mean())):
            raise ValueError(f"{other}: its model was trained on other features, so it can't write with the others")
        networks += more
    return (Ensemble(networks) if len(networks) > 1 else first), vocabulary
