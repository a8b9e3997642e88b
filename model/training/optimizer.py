"""The optimiser, and the learning rate of each step."""

from __future__ import annotations

import math

import torch
from torch import nn

from videocap.model.config import TrainConfig


def make_optimizer(model: nn.Module, options: TrainConfig) -> torch.optim.Optimizer:
    """AdamW that decays matrices but no biases, norms and embeddings; or V2C's Adam."""
    if options.schedule == "v2c":
        return torch.optim.Adam(model.parameters(), lr=options.lr, betas=(0.9, 0.98), eps=1e-9, fused=True)
    matrices = {
        id(weight)
        for module in model.modules()
        if isinstance(module, nn.Linear | nn.Conv1d | nn.LSTM)
        for weight in module.parameters(recurse=False)
        if weight.ndim > 1
    }
    groups = [
        {"params": [p for p in model.parameters() if id(p) in matrices], "weight_decay": options.weight_decay},
        {"params": [p for p in model.parameters() if id(p) not in matrices], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.lr, fused=True)


def learning_rate(step: int, steps: int, options: TrainConfig) -> float:
    """The learning rate of step `step` (from 1) of `steps`.

    `cosine`: linear warm-up to `train.lr` over the share `train.warmup` of all steps, then cosine decay to zero.
    `v2c`: 512^-0.5 · min(s^-0.8, s · 5000^-1.8), as in V2C's code; `train.lr` and `train.warmup` have no part in it.
    """
    if options.schedule == "v2c":
        return 512**-0.5 * min(step**-0.8, step * 5000**-1.8)
    warmup = math.ceil(options.warmup * steps)
    if step <= warmup:
        return options.lr * step / warmup
    return options.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
