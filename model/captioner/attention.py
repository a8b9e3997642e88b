"""What every Transformer layer here is made of: attention, the feed-forward layer and sinusoidal positions."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KeysValues = tuple[Tensor, Tensor]


def sinusoid(positions: Tensor, width: int) -> Tensor:
    """Sinusoidal encoding of `positions` (T,), float32 (T, width): sines in the even columns, cosines in the odd."""
    rates = torch.exp(torch.arange(0, width, 2, device=positions.device) * (-math.log(10000.0) / width))
    angles = positions[:, None] * rates  # (T, ceil(width / 2))
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)[:, :width]  # (T, width)


class Attention(nn.Module):
    """Multi-head attention whose keys and values are computed apart, so that they can be kept between steps.

    Args:
        width: d, of queries, memory and output.
        heads: number of heads H; must divide `width`.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, T, d) -> (B, H, T, d / H)

    def keys_values(self, memory: Tensor) -> KeysValues:
        """Keys and values, each (B, H, M, d / H), of `memory` (B, M, d)."""
        keys, values = self.key_value(memory).chunk(2, dim=-1)
        return self._split(keys), self._split(values)

    def forward(self, x: Tensor, memory: KeysValues, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """Attend from `x` (B, T, d) to `memory`; `mask` (B, M) is True where memory may be seen. Gives (B, T, d)."""
        if mask is not None:
            mask = mask[:, None, None, :]  # (B, 1, 1, M)
        keys, values = memory
        out = F.scaled_dot_product_attention(self._split(self.query(x)), keys, values, mask, is_causal=causal)
        return self.out(out.transpose(1, 2).flatten(2))  # (B, H, T, d / H) -> (B, T, d)


class FeedForward(nn.Sequential):
    """Two linear layers with a GELU between, applied to each position alone."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))
