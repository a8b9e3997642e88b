"""Captions a second in training, ours against the same model that pads its texts and reads a video for every caption.

    python benchmarks/training.py [--width 256] [--captions-per-video 5] [--steps 10] [--rounds 3] [--compile]

Real captions: MSR-VTT's official ones (6,513 training videos, 20 each) and Flickr8k's (6,000 images, 5 each), from
`shared/data/real`; features are random, as 20 frames of 512 numbers and as 17 rows of 384. Both sides take steps of 64
captions on one model with the same weights, in turn, in one process: fp32, the CPU, no sub-decoders, no distillation.
A step includes the making of its batch. The padded side is how captioning code mostly does it, and this project did:
random captions, padded to the longest; frames of a video as often as its captions; torch's dropout. Beside them stand
ours with captions drawn alone, ours in bf16 (where the processor multiplies it), and with --compile ours compiled.
"""

from __future__ import annotations

import argparse
import csv
import json
import zipfile
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from stores import medians
from torch import nn

from videocap.extract.corpus.table import Video
from videocap.extract.shards.shard import Features
from videocap.model.captioner import losses
from videocap.model.captioner.attention import Dropout, FeedForward
from videocap.model.captioner.captioner import Captioner
from videocap.model.captioner.packed import Packed
from videocap.model.config import AspectsConfig, DecoderConfig, FusionConfig, TrainConfig, Vis2TextConfig
from videocap.model.frames import Batch
from videocap.model.training.batches import TrainingData
from videocap.model.training.trainer import Trainer
from videocap.model.vocabulary import PAD, build

DATA = Path(__file__).parents[1].parent / "shared" / "data" / "real"


def msrvtt() -> tuple[dict[str, list[str]], int, int]:
    """Captions of the training videos, frames a video, numbers a frame."""
    with zipfile.ZipFile(DATA / "msrvtt" / "train_val_annotation.zip") as files:
        name = next(name for name in files.namelist() if name.endswith("videodatainfo.json") and "MACOSX" not in name)
        info = json.loads(files.read(name))
    wanted = {video["video_id"] for video in info["videos"] if video["split"] == "train"}
    captions: dict[str, list[str]] = {name: [] for name in wanted}
    for sentence in info["sentences"]:
        if sentence["video_id"] in wanted:
            captions[sentence["video_id"]].append(sentence["caption"])
    return captions, 20, 512


def flickr8k() -> tuple[dict[str, list[str]], int, int]:
    """The same of images, of which rows are places."""
    captions: dict[str, list[str]] = {}
    with (DATA / "flickr8k" / "captions.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["split"] == "train":
                captions.setdefault(row["video"], []).append(row["caption"])
    return captions, 17, 384


def training_data(captions: dict[str, list[str]], frames: int, width: int, videos: int) -> tuple[TrainingData, int]:
    """Data with random features, and the size of its vocabulary."""
    made = [Video(name, "", "train", tuple(of)) for name, of in sorted(captions.items())[:videos]]
    values = np.random.default_rng(0).standard_normal((len(made) * frames, width), np.float32).astype(np.float16)
    features = Features(values, np.arange(len(made) + 1) * frames, np.zeros(len(values), np.float32))
    words = build((text for video in made for text in video.captions), 3)
    return TrainingData(made, features, words, aspects=(), max_tokens=30, max_aspect_tokens=2), len(words)


class Padded(nn.Module):
    """The same captioner, which pads texts and reads the frames of every caption."""

    def __init__(self, model: Captioner) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, label_smoothing: float, per: str, r_drop: bool) -> dict[str, torch.Tensor]:
        model, tokens = self.model, batch.tokens
        memory = model.encode(batch.frames[batch.owners], batch.mask[batch.owners])
        read, targets = tokens[:, :-1].flatten(), tokens[:, 1:].flatten()
        whole = Packed(read, targets, torch.arange(len(read)), len(tokens), tokens.shape[1] - 1)
        hidden = model.hidden(memory, "caption", whole)
        real = (targets != PAD).nonzero().squeeze(1)
        return {
            "caption": losses.words(model.logits(hidden[real]).float().log_softmax(-1), targets[real], label_smoothing)
        }


def with_torchs_dropout(module: nn.Module) -> nn.Module:
    """Torch's dropout in place of ours, and none inside of feed-forward layers, as this captioner once was."""
    for name, child in module.named_children():
        inside = nn.Identity() if isinstance(module, FeedForward) else nn.Dropout(getattr(child, "p", 0.0))
        setattr(module, name, inside if isinstance(child, Dropout) else with_torchs_dropout(child))
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--block", choices=("lstm", "transformer", "conv1d"), default="transformer")
    parser.add_argument("--scales", type=int, default=1)
    parser.add_argument("--captions-per-video", type=int, default=5)
    parser.add_argument("--videos", type=int, default=6513)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    chosen = parser.parse_args()
    for corpus in (msrvtt, flickr8k):
        data, words = training_data(*corpus(), chosen.videos)
        sections = SimpleNamespace(
            fusion=FusionConfig(block=chosen.block, scales=chosen.scales),
            vis2text=Vis2TextConfig(),
            aspects=AspectsConfig(use=()),
            decoder=DecoderConfig(width=chosen.width, inner=4 * chosen.width, dropout=0.3),
        )

        def side(share: int, words=words, data=data, sections=sections, **options: str) -> tuple[Trainer, Callable]:
            shared = {"epoch": "caption", "captions_per_video": share}
            settings = TrainConfig(device="cpu", distill_weight=0.0, **shared, **options)
            of_side = SimpleNamespace(**vars(sections), train=settings)
            trainer = Trainer(of_side, data, words)
            epochs = (batch for n in cycle(range(1, 1000)) for batch in trainer._batches(n))

            def steps(batches: Iterator[Batch] = epochs) -> None:
                trainer.model.train()
                for batch in islice(batches, chosen.steps):
                    trainer._step(batch)

            return trainer, steps

        sides: dict[str, Callable] = {}
        before, sides["padded"] = side(1, precision="fp32")
        before.model = Padded(with_torchs_dropout(before.model))
        _, sides["ours"] = side(chosen.captions_per_video, precision="fp32")
        _, sides["ours, captions drawn alone"] = side(1, precision="fp32")
        _, sides["ours in bf16"] = side(chosen.captions_per_video, precision="bf16")
        if chosen.compile:
            compiled, sides["ours compiled"] = side(chosen.captions_per_video, precision="fp32")
            compiled.model.forward = torch.compile(compiled.model.forward, dynamic=True)
        seconds = medians(sides, chosen.rounds)
        rates = {name: 64 * chosen.steps / of for name, of in seconds.items()}
        print(f"{corpus.__name__}: {words} words, width {chosen.width}, {chosen.scales} × {chosen.block}")
        for name, rate in rates.items():
            print(f"  {name:<28} {rate:7.0f} captions/s, over padded {rate / rates['padded']:5.2f}", flush=True)


if __name__ == "__main__":
    main()
