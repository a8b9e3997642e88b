"""What every Transformer layer here is made of: attention, the feed-forward layer, dropout and positions."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videocap.model.captioner.packed import Packed

KeysValues = tuple[Tensor, Tensor]


def sinusoid(positions: Tensor, width: int) -> Tensor:
    """Sinusoidal encoding of `positions` (T,), float32 (T, width): sines in the even columns, cosines in the odd."""
    rates = torch.exp(torch.arange(0, width, 2, device=positions.device) * (-math.log(10000.0) / width))
    angles = positions[:, None] * rates  # (T, ceil(width / 2))
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)[:, :width]  # (T, width)


class Dropout(nn.Module):
    """Dropout; on the CPU its mask is drawn 16 bits a number, in a quarter of the time that torch's own takes there."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        size = x.numel()
        bits = torch.empty(-(-size // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = bits.view(torch.int16)[:size].view(x.shape) >= round(self.p * 2**16) - 2**15
        return x * (kept * (1 / (1 - self.p))).to(x.dtype)


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, causal: bool = False) -> Tensor:
    """Scaled dot-product attention, (B, H, T, d / H) over (B, H, M, d / H); `mask` (B, M) is True where may be seen."""
    if queries.device.type == "cpu" and queries.dtype == torch.bfloat16:
        # there the gradient takes eight times as long as in fp32
        with torch.autocast("cpu", enabled=False):
            return attend(queries.float(), keys.float(), values.float(), mask, causal)
    if mask is not None:
        mask = mask[:, None, None, :]  # (B, 1, 1, M)
    return F.scaled_dot_product_attention(queries, keys, values, mask, is_causal=causal)


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

    def forward(self, x: Tensor, memory: KeysValues, mask: Tensor | None = None) -> Tensor:
        """Attend from `x` (B, T, d) to `memory`; `mask` (B, M) is True where memory may be seen. Gives (B, T, d)."""
        out = attend(self._split(self.query(x)), *memory, mask)
        return self.out(out.transpose(1, 2).flatten(2))  # (B, H, T, d / H) -> (B, T, d)

    def of_words(
        self, x: Tensor, words: Packed, memory: KeysValues | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Attend from packed words `x` (n, d) to the words before them, or to `memory`, that of each text (B, …)."""
        causal = memory is None
        if memory is None:
            keys, values = words.pad(self.key_value(x)).chunk(2, dim=-1)
            memory = self._split(keys), self._split(values)
        out = attend(self._split(words.pad(self.query(x))), *memory, mask, causal)
        return self.out(words.pack(out.transpose(1, 2).flatten(2)))  # (B, H, T, d / H) -> (n, d)


class FeedForward(nn.Sequential):
    """Two linear layers with a GELU and dropout between, applied to each position alone."""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__(nn.Linear(width, inner), nn.GELU(), Dropout(dropout), nn.Linear(inner, width))
