"""The captioner (Fig. 1): fusion, Vis2Text, commonsense sub-decoders and the caption decoder in one module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videocap.model.captioner import losses
from videocap.model.captioner.aspects import AspectDecoder
from videocap.model.captioner.attention import Dropout
from videocap.model.captioner.decoder import Cache, Decoder
from videocap.model.captioner.fusion import TemporalFusion, show
from videocap.model.captioner.packed import Packed
from videocap.model.captioner.vis2text import Vis2Text
from videocap.model.config import AspectsConfig, DecoderConfig, FusionConfig, Vis2TextConfig
from videocap.model.frames import Batch

CAPTION = "caption"


class CaptionerConfig(Protocol):
    """The sections that a captioner reads; any object that has them will do."""

    fusion: FusionConfig
    vis2text: Vis2TextConfig
    aspects: AspectsConfig
    decoder: DecoderConfig


@dataclass(frozen=True)
class Memory:
    """What the decoders see of B videos."""

    vis2text: Tensor
    """T_Vis2Text (eq. 4), (B, N, d_text)."""
    frames: Tensor
    """(B, N) bool, True at real frames."""
    values: dict[str, Tensor]
    """By what is written from it, (B, M, d): `caption` from [f; vt; h_int; h_eff; h_att], an aspect from its h."""
    masks: dict[str, Tensor | None]
    """(B, M) bool, True where memory is real; None if all is."""


class Captioner(nn.Module):
    """CLIP4VideoCap on frame features.

    Word embeddings are shared by all decoders and by their output layers, and so are positions. Both are small at the
    start: the state that is scored still has the word that was just read in it, which large ones would give a head
    start of many nats. Frame features are standardised with the mean and standard deviation that each coordinate has
    in training (buffers, set by `standardise`): CLIP's features share a large common component that would otherwise
    drown what differs between videos. That, like the projection and layer norm that bring vt to width d, is this
    implementation's decision; the paper does not say.

    Args:
        config: holder of the sections fusion, vis2text, aspects and decoder.
        d_in: d_v, width of the frame features.
        d_text: width of the text embeddings.
        words: V, size of the vocabulary.
    """

    def __init__(self, config: CaptionerConfig, *, d_in: int, d_text: int, words: int) -> None:
        super().__init__()
        fusion, aspects, sizes = config.fusion, config.aspects, config.decoder
        width = sizes.width
        layers = {"heads": sizes.heads, "inner": sizes.inner, "dropout": sizes.dropout}
        self.shown = fusion.frames
        self.pooling = config.vis2text.pooling
        self.max_tokens = {CAPTION: sizes.max_tokens, **{aspect: sizes.max_aspect_tokens for aspect in aspects.use}}

        self.register_buffer("feature_mean", torch.zeros(d_in))
        self.register_buffer("feature_std", torch.ones(d_in))
        self.fusion = TemporalFusion(d_in, width, block=fusion.block, scales=fusion.scales, mode=fusion.mode, **layers)
        self.vis2text = Vis2Text(width, d_text, config.vis2text.activation)
        self.text_project = nn.Sequential(nn.Linear(d_text, width), nn.LayerNorm(width))
        self.aspects = nn.ModuleDict(
            {
                aspect: AspectDecoder(width, queries=aspects.queries, layers=sizes.aspect_layers, **layers)
                for aspect in aspects.use
            }
        )
        self.types = nn.ParameterDict(
            {source: nn.Parameter(0.02 * torch.randn(width)) for source in ("fused", "vis2text", *aspects.use)}
        )
        self.decoder = Decoder(width, layers=sizes.layers, **layers)
        self.embedding = nn.Embedding(words, width)
        self.positions = nn.Embedding(max(self.max_tokens.values()) + 1, width)
        self.bias = nn.Parameter(torch.zeros(words))
        for layer in (self.embedding, self.positions):  # so small that all words are as likely at the start: ln V nats
            nn.init.normal_(layer.weight, std=0.02)
        self.dropout = Dropout(sizes.dropout)

    def standardise(self, mean: Tensor, std: Tensor) -> None:
        """Take the training features' `mean` and `std`, each (d_v,)."""
        self.feature_mean.copy_(mean)
        self.feature_std.copy_(std)

    def encode(self, frames: Tensor, mask: Tensor) -> Memory:
        """The decoders' memory of `frames` (B, N, d_v) of any float type; `mask` (B, N) is True at real frames."""
        frames = (frames.to(self.feature_mean.dtype) - self.feature_mean) / self.feature_std
        frames, mask = show(frames, mask, self.shown, self.training)  # from here on N may be 1, by `fusion.frames`
        fused = self.fusion(frames, mask)  # (B, N, d)
        vis2text = self.vis2text(fused)  # (B, N, d_text)
        seen = torch.cat(
            (fused + self.types["fused"], self.text_project(vis2text) + self.types["vis2text"]), dim=1
        )  # (B, 2N, d)
        seen_mask = mask.repeat(1, 2)  # (B, 2N)

        values: dict[str, Tensor] = {aspect: decoder(seen, seen_mask) for aspect, decoder in self.aspects.items()}
        typed = [h + self.types[aspect] for aspect, h in values.items()]  # each (B, Q, d)
        extra = sum(h.shape[1] for h in typed)
        masks: dict[str, Tensor | None] = dict.fromkeys(values)
        values[CAPTION] = torch.cat((seen, *typed), dim=1)  # (B, 2N + 3Q, d)
        masks[CAPTION] = torch.cat((seen_mask, seen_mask.new_ones(len(mask), extra)), dim=1)
        return Memory(vis2text, mask, values, masks)

    def hidden(self, memory: Memory, source: str, words: Packed, owners: Tensor | None = None) -> Tensor:
        """Hidden states (n, d) after each of `words`, for `source`: `caption` or an aspect.

        `owners` (B,) is the video in `memory` that each text is of; without it text i is of video i.
        """
        x = self._embed(words.tokens, words.positions)
        return self._decoder(source)(x, words, memory.values[source], memory.masks[source], owners)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of the next word, (…, d) -> (…, V)."""
        return F.linear(hidden, self.embedding.weight, self.bias)

    def start(self, memory: Memory, source: str) -> Cache:
        """The cache with which `step` begins to write `source`."""
        return self._decoder(source).start(memory.values[source], memory.masks[source])

    def step(self, source: str, tokens: Tensor, cache: Cache) -> Tensor:
        """Scores (B, K, V) of the word after `tokens` (B, K), the newest of K hypotheses a video."""
        x = self._embed(tokens, torch.full_like(tokens, cache.length))  # (B, K, d)
        return self.logits(self._decoder(source).step(x, cache))

    def forward(
        self, batch: Batch, label_smoothing: float = 0.0, per: str = "own", r_drop: bool = False
    ) -> dict[str, Tensor]:
        """The losses of eq. 6 and 7 unweighted: `caption`, one an aspect and, of a batch with embeddings, `distill`.

        Each is a scalar. A word loss is divided by the number of its `own` words, or of the `caption`s', see
        `train.aspects_per`; a video without an aspect's annotation has none there. With `r_drop` the batch must be
        what `Batch.twice` gives, and how far its two halves are apart is among the losses.
        """
        memory = self.encode(batch.frames, batch.mask)
        words = Packed.of(batch.tokens, batch.read)
        count = None if per == "own" else len(words.targets)
        weights = None if batch.weights is None else batch.weights[words.places // words.length]
        chances = self._chances(memory, CAPTION, words, batch.owners)
        result = {CAPTION: losses.words(chances, words.targets, label_smoothing, weights)}
        if r_drop:
            result["r_drop"] = losses.r_drop(chances)
        if batch.text is not None:
            seen = memory.vis2text, memory.frames
            result["distill"] = losses.distillation(*seen, batch.text, batch.owners, self.pooling)
        for aspect in self.aspects:
            words = Packed.of(batch.aspects[aspect])
            chances = self._chances(memory, aspect, words, batch.owners)
            result[aspect] = losses.words(chances, words.targets, label_smoothing, count=count)
        return result

    def _chances(self, memory: Memory, source: str, words: Packed, owners: Tensor) -> Tensor:
        """Log-probabilities (n, V) of what follows each of `words`."""
        return self.logits(self.hidden(memory, source, words, owners)).float().log_softmax(-1)

    def _decoder(self, source: str) -> Decoder:
        return self.decoder if source == CAPTION else self.aspects[source].decoder

    def _embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Embedded words (…, d) of `tokens` (…) at `positions` (…) of their texts."""
        return self.dropout(self.embedding(tokens) + self.positions(positions))
