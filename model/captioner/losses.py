"""The losses (eq. 6 to 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor

from videocap.model.config import ASPECTS
from videocap.model.vocabulary import PAD, SOS, UNK


def distillation(vis2text: Tensor, mask: Tensor, text: Tensor, owners: Tensor, pooling: str) -> Tensor:
    """L1 between T_Vis2Text and T_CLIP (eq. 6), mean over coordinates.

    Args:
        vis2text: T_Vis2Text of V videos, (V, N, d_text).
        mask: (V, N), True at real frames.
        text: T_CLIP of B captions, (B, d_text).
        owners: the video of each, (B,).
        pooling: `mean` compares the mean over a video's frames, `broadcast` every frame.
    """
    weight = mask.to(vis2text.dtype) / mask.sum(1, keepdim=True)  # (V, N), each video's frames sum to 1
    if pooling == "mean":
        return F.l1_loss((vis2text * weight[:, :, None]).sum(1)[owners], text)
    error = (vis2text[owners] - text[:, None]).abs().mean(2)  # (B, N)
    return (error * weight[owners]).sum(1).mean()


def words(logits: Tensor, targets: Tensor, label_smoothing: float, count: int | None = None) -> Tensor:
    """Cross-entropy a word: `logits` (n, V) of the words `targets` (n,); 0 where there is none.

    The sum over the words is divided by `count`, or by their own number.

    Smoothing spreads its share over the words and eos: PAD, UNK and sos are never written.
    """
    chances = logits.float().log_softmax(-1)  # (n, V)
    loss = -chances.gather(1, targets[:, None]).sum()
    if label_smoothing:
        spread = -(chances.sum() - chances[:, [PAD, UNK, SOS]].sum()) / (logits.shape[1] - 3)
        loss = (1 - label_smoothing) * loss + label_smoothing * spread
    return loss / max(len(targets) if count is None else count, 1)


def weighted(losses: Mapping[str, Tensor], distill_weight: float, aspect_weights: Sequence[float]) -> dict[str, Tensor]:
    """The terms of L = lambda L_distill + L_cap + alpha_2 L_int + alpha_3 L_eff + alpha_4 L_att (eq. 7 and 8).

    `losses` are the captioner's; an aspect without a sub-decoder, or a distillation without a target, is not among
    them.
    """
    weights = {"caption": 1.0, "distill": distill_weight, **dict(zip(ASPECTS, aspect_weights, strict=True))}
    return {part: weights[part] * loss for part, loss in losses.items()}
