"""Commonsense sub-decoders (sec. 2.4, Table 5): an aspect's features from the video, and its words from those."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from videocap.model.captioner.attention import Attention, Dropout, FeedForward
from videocap.model.captioner.decoder import Decoder


class AspectDecoder(nn.Module):
    """One aspect's sub-decoder.

    A few learned queries attend to [f; vt]. Their outputs are the aspect's features h: they join the caption
    decoder's memory, and they are the only memory from which `decoder` writes the aspect's words. So the caption
    gains what writing the aspect needs, and no ground-truth text of the aspect can reach it.

    Args:
        width: d.
        queries: Q, learned queries.
        layers: layers of the word decoder.
        heads, inner, dropout: as in `[decoder]`.
    """

    def __init__(self, width: int, *, queries: int, layers: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, width))
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.attention = Attention(width, heads)
        self.feed_forward = FeedForward(width, inner, dropout)
        self.dropout = Dropout(dropout)
        self.decoder = Decoder(width, layers=layers, heads=heads, inner=inner, dropout=dropout)

    def forward(self, memory: Tensor, mask: Tensor) -> Tensor:
        """The aspect's features (B, Q, d) of `memory` (B, M, d), `mask` (B, M)."""
        h = self.queries.expand(len(memory), -1, -1)  # (B, Q, d)
        h = h + self.dropout(self.attention(self.norm1(h), self.attention.keys_values(memory), mask))
        h = h + self.dropout(self.feed_forward(self.norm2(h)))
        return self.norm3(h)
