"""Multi-scale temporal fusion (sec. 2.3, eq. 2, Fig. 3): squeeze, fuse, expand and aggregate."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from videocap.model.captioner.attention import Attention, Dropout, FeedForward, sinusoid

PHI = (5**0.5 - 1) / 2


class LSTMBlock(nn.Module):
    """A bidirectional LSTM with d / 2 units each way; packed, so that padding reaches neither direction."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width // 2, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, N, d), of which `lengths` (B,) are real -> (B, N, d)."""
        frames = x.shape[1]
        if frames == int(lengths.min()):  # nothing is padded: the same result, without packing's cost
            return self.lstm(x)[0]
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=frames)[0]


class TransformerBlock(nn.Module):
    """Self-attention and feed-forward of a Transformer encoder; what comes in is normalised already."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.feed_forward = FeedForward(width, inner, dropout)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, N, d), of which `lengths` (B,) are real -> (B, N, d)."""
        mask = prefix_mask(lengths, x.shape[1], x.device)  # (B, N)
        y = self.dropout(self.attention(x, self.attention.keys_values(x), mask))
        return y + self.feed_forward(self.norm(x + y))


class Conv1DBlock(nn.Module):
    """A convolution over three neighbouring frames, then ReLU; padding counts as zeros, as beyond a video's ends."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, kernel_size=3, padding=1)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, N, d), of which `lengths` (B,) are real -> (B, N, d)."""
        x = x * prefix_mask(lengths, x.shape[1], x.device)[:, :, None]
        return self.conv(x.transpose(1, 2)).relu().transpose(1, 2)


def prefix_mask(lengths: Tensor, size: int, device: torch.device) -> Tensor:
    """Bool (B, size): True at the first `lengths` (B,) places of each row."""
    return torch.arange(size, device=device) < lengths.to(device)[:, None]


def squeeze(x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Halve the temporal resolution by a masked average over pairs of frames.

    Returns:
        (B, ceil(N / 2), d) and the new lengths, ceil(lengths / 2); a last frame without a partner stays itself.
    """
    x = x * prefix_mask(lengths, x.shape[1], x.device)[:, :, None]
    if x.shape[1] % 2:
        x = torch.cat((x, torch.zeros_like(x[:, :1])), dim=1)
    halved = (lengths + 1) // 2
    pairs = x.unflatten(1, (-1, 2)).sum(2)  # (B, ceil(N / 2), d)
    first = 2 * torch.arange(pairs.shape[1], device=x.device)
    count = (lengths.to(x.device)[:, None] - first).clamp(1, 2)  # (B, ceil(N / 2)), real frames in each pair
    return pairs / count[:, :, None], halved


def expand(y: Tensor, lengths: Tensor, frames: int, scale: int) -> Tensor:
    """Bring scale `scale` back to every frame by linear interpolation between the centres of its windows.

    Frame i lies at (i + 1/2) / 2^scale - 1/2 on the squeezed axis, kept within the video's own windows.

    Args:
        y: (B, M, d), of which `lengths` (B,) windows are real.
        frames: N.

    Returns:
        (B, N, d).
    """
    place = (torch.arange(frames, device=y.device) + 0.5) / 2**scale - 0.5  # (N,)
    last = lengths.to(y.device)[:, None] - 1  # (B, 1)
    place = torch.minimum(place.clamp(min=0), last)  # (B, N)
    windows = torch.arange(y.shape[1], device=y.device)
    weights = (1 - (place[:, :, None] - windows).abs()).clamp(min=0)  # (B, N, M), two non-zero a row at most
    return weights.to(y.dtype) @ y


def show(frames: Tensor, mask: Tensor, which: str, training: bool) -> tuple[Tensor, Tensor]:
    """What a model may see of its videos, by `fusion.frames`; what remains still comes first, then padding.

    Args:
        frames, mask: (B, N, d_v) and (B, N).
        which: `all`; `one`: in training any frame, drawn anew each time, else the middle one; `shuffled`: in training
            any order, drawn anew each time, else a scrambled one, the same for all videos of a length; `none`: one
            frame of zeros.

    Returns:
        frames (B, M, d_v) and their mask (B, M); M is 1 for `one` and `none`, else N.
    """
    if which == "all":
        return frames, mask
    if which == "none":
        return torch.zeros_like(frames[:, :1]), mask[:, :1]
    lengths = mask.sum(1, keepdim=True)  # (B, 1)
    if which == "one":
        part = torch.rand(lengths.shape, device=mask.device) if training else 0.5
        chosen = (part * lengths).long()  # (B, 1)
    else:
        # the golden ratio's multiples, without their whole part: any number of them is spread evenly, and in disorder
        spread = torch.arange(1, mask.shape[1] + 1, device=mask.device) * PHI % 1  # (N,)
        key = torch.rand(mask.shape, device=mask.device) if training else spread
        chosen = torch.where(mask, key, torch.inf).argsort(dim=1, stable=True)  # (B, N)
    rows = torch.arange(len(mask), device=mask.device)[:, None]
    return frames[rows, chosen], mask[rows, chosen]


class TemporalFusion(nn.Module):
    """F of eq. 2: (v_1 … v_n) -> (f_1 … f_n). Block, number of scales and their order are Table 4's choices.

    `cascade`: y_0 = fuse_0(project(v)), y_k = fuse_k(squeeze(y_{k-1})). `parallel`: every y_k fuses the projected
    input squeezed k times. fuse_k(x) = x + block_k(norm(x)): whatever the block, its input has unit scale, and what it
    can't use goes past it. All y_k, expanded to n frames and each layer-normalised, so that no scale is louder than
    another at the start, are concatenated and projected; the projected input is added and the sum layer-normalised.

    Args:
        d_in: d_v, width of the frame features.
        width: d.
        block: `lstm`, `transformer` or `conv1d`.
        scales: number of temporal resolutions.
        mode: `cascade` or `parallel`.
        heads, inner, dropout: as in the decoders.
    """

    def __init__(
        self, d_in: int, width: int, *, block: str, scales: int, mode: str, heads: int, inner: int, dropout: float
    ) -> None:
        super().__init__()
        make = {
            "lstm": lambda: LSTMBlock(width),
            "transformer": lambda: TransformerBlock(width, heads, inner, dropout),
            "conv1d": lambda: Conv1DBlock(width),
        }[block]
        self.cascade = mode == "cascade"
        # a recurrent block knows the order of frames; the others must be told, though not so loud as to drown them
        self.place = None if block == "lstm" else nn.Parameter(torch.tensor(0.1))
        self.project = nn.Linear(d_in, width)
        self.blocks = nn.ModuleList(make() for _ in range(scales))
        self.before, self.after = (nn.ModuleList(nn.LayerNorm(width) for _ in range(scales)) for _ in range(2))
        self.aggregate = nn.Linear(scales * width, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Fuse `frames` (B, N, d_v); `mask` (B, N) is True at the real frames, which come first. Gives (B, N, d)."""
        lengths = mask.sum(1).cpu()  # (B,), once for all scales: packing wants them on the CPU
        n = frames.shape[1]
        x = self.project(frames)  # (B, N, d)
        if self.place is not None:
            x = x + self.place * sinusoid(torch.arange(n, device=x.device), x.shape[2]).to(x.dtype)
        x = self.dropout(x)

        below, fused = x, []
        for scale, (block, before, after) in enumerate(zip(self.blocks, self.before, self.after, strict=True)):
            if scale:
                below, lengths = squeeze(below, lengths)  # (B, N / 2^scale, d)
            y = below + self.dropout(block(before(below), lengths))
            fused.append(after(expand(y, lengths, n, scale) if scale else y))
            if self.cascade:
                below = y
        y = self.dropout(self.aggregate(torch.cat(fused, dim=-1)))  # (B, N, scales * d) -> (B, N, d)
        return self.norm(x + y)
