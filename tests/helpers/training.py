"""Trainings of a small captioner, and what comes of them."""

from pathlib import Path

import torch
from captioner import training_data, vocabulary
from safetensors.torch import load_file

from videocap.model.training.scst import Reward
from videocap.model.training.train import train


def run(folder: Path, settings, of, val=None, validate=lambda captions: 0.0) -> Path:
    """Train on the videos `of` with checkpoints in `folder`/scratch; gives a new output folder."""
    out = folder / f"out{len(list(folder.glob('out*')))}"
    out.mkdir()
    train(
        settings,
        train=training_data(of, settings.aspects.use, consensus=settings.train.consensus),
        val=val,
        vocabulary=vocabulary(of),
        validate=validate,
        reward=Reward([video.captions for video in of], vocabulary(of)) if settings.train.scst_epochs else None,
        scratch=folder / "scratch",
        out=out,
    )
    return out


def same_weights(one: Path, two: Path) -> bool:
    a, b = load_file(one / "model.safetensors"), load_file(two / "model.safetensors")
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
