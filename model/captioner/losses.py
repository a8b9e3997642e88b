"""The losses (eq. 6 to 8)."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from videocap.model.config import ASPECTS, TrainConfig
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


def words(
    chances: Tensor, targets: Tensor, label_smoothing: float, weights: Tensor | None = None, count: int | None = None
) -> Tensor:
    """Cross-entropy a word: log-probabilities `chances` (n, V) of the words `targets` (n,); 0 where there is none.

    The sum over the words, of which each counts `weights` (n,) times, is divided by `count`, or by their own number.

    Smoothing spreads its share over the words and eos: PAD, UNK and sos are never written.
    """
    loss = -chances.gather(1, targets[:, None]).squeeze(1)  # (n,)
    if label_smoothing:
        spread = -(chances.sum(1) - chances[:, [PAD, UNK, SOS]].sum(1)) / (chances.shape[1] - 3)
        loss = (1 - label_smoothing) * loss + label_smoothing * spread
    if weights is not None:
        loss = loss * weights
    return loss.sum() / max(len(targets) if count is None else count, 1)


def r_drop(chances: Tensor) -> Tensor:
    """How far two readings of the same words are apart (R-Drop): the mean of both Kullback-Leibler divergences a word.

    `chances` (2n, V) are log-probabilities, those of the second reading behind those of the first.
    """
    first, second = chances.chunk(2)
    return ((first.exp() - second.exp()) * (first - second)).sum() / len(chances)


def weighted(losses: Mapping[str, Tensor], options: TrainConfig) -> dict[str, Tensor]:
    """The terms of L = lambda L_distill + L_cap + alpha_2 L_int + alpha_3 L_eff + alpha_4 L_att (eq. 7, 8), and R-Drop.

    `losses` are the captioner's; an aspect without a sub-decoder, or a distillation without a target, is not among
    them.
    """
    weights = {"caption": 1.0, "distill": options.distill_weight, "r_drop": options.r_drop}
    weights |= dict(zip(ASPECTS, options.aspect_weights, strict=True))
    return {part: weights[part] * loss for part, loss in losses.items()}
