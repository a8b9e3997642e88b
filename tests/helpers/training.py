"""Trainings of a small captioner, and what comes of them."""

import json
from pathlib import Path

import torch
from captioner import training_data, vocabulary
from safetensors.torch import load_file

from videocap.extract.files import sha256
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


def sign(folder: Path) -> None:
    """Let config.json name the files as they are now."""
    about = json.loads((folder / "config.json").read_text())
    for network in about["networks"]:
        network["sha256"] = sha256(folder / network["file"])
    about["vocabulary_sha256"] = sha256(folder / "vocabulary.json")
    (folder / "config.json").write_text(json.dumps(about))
