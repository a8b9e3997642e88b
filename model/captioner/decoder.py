"""Transformer decoder of words over a memory, for training at once and for generation step by step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from videocap.model.captioner.attention import Attention, Dropout, FeedForward, KeysValues
from videocap.model.captioner.packed import Packed


@dataclass
class Cache:
    """What a decoder keeps between two steps of generation, for B videos of K hypotheses each."""

    memory: list[KeysValues]
    """A layer's keys and values of the memory, each (B, H, M, d / H); all hypotheses of a video share them."""
    mask: Tensor | None
    """(B, M), True where memory is real."""
    past: list[KeysValues | None]
    """A layer's keys and values of the words so far, each (B * K, H, t, d / H)."""
    length: int = 0
    """t, words so far."""

    def select(self, rows: Tensor, videos: Tensor) -> None:
        """Let hypothesis i go on from what was hypothesis `rows[i]`, of (b * K,), and keep only `videos`, (b,)."""
        self.past = [past and (past[0][rows], past[1][rows]) for past in self.past]
        if len(videos) < len(self.memory[0][0]):
            self.memory = [(keys[videos], values[videos]) for keys, values in self.memory]
            self.mask = None if self.mask is None else self.mask[videos]


class DecoderLayer(nn.Module):
    """Pre-norm: causal self-attention, attention to the memory, feed-forward."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.self_attention = Attention(width, heads)
        self.cross_attention = Attention(width, heads)
        self.feed_forward = FeedForward(width, inner, dropout)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, words: Packed, memory: KeysValues, mask: Tensor | None) -> Tensor:
        """All words at once: `x` (n, d) of B texts; `memory` and `mask` (B, M) are of each text. Gives (n, d)."""
        x = x + self.dropout(self.self_attention.of_words(self.norm1(x), words))
        x = x + self.dropout(self.cross_attention.of_words(self.norm2(x), words, memory, mask))
        return x + self.dropout(self.feed_forward(self.norm3(x)))

    def step(
        self, x: Tensor, past: KeysValues | None, memory: KeysValues, mask: Tensor | None
    ) -> tuple[Tensor, KeysValues]:
        """One position of K hypotheses a video: `x` (B, K, d) -> (B, K, d) and the longer `past`."""
        h = self.norm1(x).flatten(0, 1)[:, None]  # (B * K, 1, d)
        new = self.self_attention.keys_values(h)  # each (B * K, H, 1, d / H)
        past = new if past is None else (torch.cat((past[0], new[0]), 2), torch.cat((past[1], new[1]), 2))
        x = x + self.self_attention(h, past).view_as(x)
        x = x + self.cross_attention(self.norm2(x), memory, mask)  # a video's K hypotheses are K queries to its memory
        return x + self.feed_forward(self.norm3(x)), past


class Decoder(nn.Module):
    """A stack of decoder layers over embedded words; used by the caption decoder and by every sub-decoder.

    Args:
        width: d.
        layers, heads, inner, dropout: as in `[decoder]`.
    """

    def __init__(self, width: int, *, layers: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(width, heads, inner, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(
        self, x: Tensor, words: Packed, memory: Tensor, mask: Tensor | None = None, owners: Tensor | None = None
    ) -> Tensor:
        """Hidden states (n, d) of embedded words `x` (n, d); each sees those before it in its text, and itself.

        Args:
            x: (n, d), of B texts.
            words: where they stand.
            memory, mask: of V videos, (V, M, d) and (V, M).
            owners: the video of each text, (B,); without it text i is of video i.
        """
        if owners is not None and mask is not None:
            mask = mask[owners]
        for layer in self.layers:
            keys, values = layer.cross_attention.keys_values(memory)  # once a video, however many texts it has
            seen = (keys, values) if owners is None else (keys[owners], values[owners])
            x = layer(x, words, seen, mask)
        return self.norm(x)

    def start(self, memory: Tensor, mask: Tensor | None = None) -> Cache:
        """The cache before the first word."""
        keys_values = [layer.cross_attention.keys_values(memory) for layer in self.layers]
        return Cache(keys_values, mask, [None] * len(self.layers))

    def step(self, x: Tensor, cache: Cache) -> Tensor:
        """Hidden states (B, K, d) of the next word `x` (B, K, d) of K hypotheses a video; lengthens `cache`."""
        for index, layer in enumerate(self.layers):
            x, cache.past[index] = layer.step(x, cache.past[index], cache.memory[index], cache.mask)
        cache.length += 1
        return self.norm(x)
