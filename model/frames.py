"""Frame features in memory, and the batches that are made of them: what the captioner is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Features(Protocol):
    """Frame features of N videos: video i's are rows `offsets[i]:offsets[i + 1]` of `values`."""

    values: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True)
class Batch:
    """B captions of V videos; several captions of one video share its frames."""

    frames: Tensor
    """(V, N, d_v) float16, padded behind each video's own frames."""
    mask: Tensor
    """(V, N) bool, True at real frames."""
    owners: Tensor
    """(B,) int64, the video of each caption."""
    tokens: Tensor
    """(B, T) int64, the captions between sos and eos, then PAD."""
    text: Tensor | None
    """(B, d_text) float32, T_CLIP of the captions (eq. 5), as it is distilled; None where it is not."""
    aspects: dict[str, Tensor]
    """By aspect (B, T_a) int64; the row of a video without that aspect is PAD throughout, which masks its loss."""
    read: Tensor | None = None
    """(B, T) int64, what is read of the captions where that is not what is to be written."""
    weights: Tensor | None = None
    """(B,) float32, how much each caption's loss counts; None if all count alike."""

    def twice(self) -> Batch:
        """All of it, and behind it the same again."""

        def again(values: Tensor | None) -> Tensor | None:
            return None if values is None else torch.cat((values, values))

        return Batch(
            frames=again(self.frames),
            mask=again(self.mask),
            owners=torch.cat((self.owners, self.owners + len(self.frames))),
            tokens=again(self.tokens),
            text=again(self.text),
            aspects={aspect: again(tokens) for aspect, tokens in self.aspects.items()},
            read=again(self.read),
            weights=again(self.weights),
        )


class FrameTable:
    """Packed frame features, from which padded batches are made by indexing.

    Args:
        features: of N videos.
        ids: N video ids, for messages.

    Raises:
        ValueError: if ids and features differ in number, or a video has no frames.
    """

    def __init__(self, features: Features, ids: Sequence[str]) -> None:
        offsets = np.asarray(features.offsets, dtype=np.int64)
        if len(offsets) != len(ids) + 1:
            raise ValueError(f"there are features of {len(offsets) - 1} videos, but {len(ids)} videos")
        lengths = np.diff(offsets)
        if len(ids) and lengths.min() < 1:
            raise ValueError(f"video {ids[int(lengths.argmin())]!r} has no frame features: leave it out")
        values = np.require(features.values, requirements=["C", "W"])  # torch refuses what is read-only
        self.values = torch.from_numpy(values)
        self.first = torch.from_numpy(offsets[:-1])
        self.lengths = torch.from_numpy(lengths)

    def to(self, device: torch.device | str) -> FrameTable:
        """Move the frames to `device`; lengths stay where batches are cut, on the CPU, so that no GPU is waited for."""
        self.values, self.first = self.values.to(device), self.first.to(device)
        return self

    def __call__(self, videos: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, N, d_v) and mask (B, N) of `videos` (B,), on the CPU; N is the longest of them."""
        device, longest = self.values.device, int(self.lengths[videos].max())
        lengths, videos = self.lengths[videos, None].to(device), videos.to(device)  # (B, 1), (B,)
        place = torch.arange(longest, device=device)
        return self.values[self.first[videos, None] + torch.minimum(place, lengths - 1)], place < lengths
