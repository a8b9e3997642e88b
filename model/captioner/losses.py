"""The losses (eq. 6 to 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor

from videocap.model.config import ASPECTS


def distillation(vis2text: Tensor, mask: Tensor, text: Tensor, pooling: str) -> Tensor:
    """L1 between T_Vis2Text and T_CLIP (eq. 6), mean over coordinates of un-normalised embeddings.

    Args:
        vis2text: T_Vis2Text, (B, N, d_text).
        mask: (B, N), True at real frames.
        text: T_CLIP, (B, d_text).
        pooling: `mean` compares the mean over a video's frames, `broadcast` every frame.
    """
    weight = mask.to(vis2text.dtype) / mask.sum(1, keepdim=True)  # (B, N), each video's frames sum to 1
    if pooling == "mean":
        return F.l1_loss((vis2text * weight[:, :, None]).sum(1), text)
    error = (vis2text - text[:, None]).abs().mean(2)  # (B, N)
    return (error * weight).sum(1).mean()


def words(logits: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    """Cross-entropy a word: `logits` (T, V) of the words `targets` (T,); 0 where there is none."""
    total = F.cross_entropy(logits, targets, label_smoothing=label_smoothing, reduction="sum")
    return total / max(len(targets), 1)


def total(losses: Mapping[str, Tensor], distill_weight: float, aspect_weights: Sequence[float]) -> Tensor:
    """L = lambda L_distill + L_cap + alpha_2 L_int + alpha_3 L_eff + alpha_4 L_att (eq. 7 and 8).

    `losses` are the captioner's; an aspect that has no sub-decoder is not among them.
    """
    loss = losses["caption"] + distill_weight * losses["distill"]
    for aspect, weight in zip(ASPECTS, aspect_weights, strict=True):
        if aspect in losses:
            loss = loss + weight * losses[aspect]
    return loss
