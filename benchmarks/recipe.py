"""A training recipe at full size: steps on MSR-VTT's annotations with random features, and the hours it would take.

    python benchmarks/recipe.py [--config configs/msrvtt.toml] [--steps 100] [--aspects]

The captions are the official ones of the 6,513 training videos (`shared/data/real/msrvtt`); features, and embeddings of
captions where the recipe distils, are random, of the size that ViT-B/16's have. Sizes, batches, losses and device are
the config's. With --aspects there are all three sub-decoders, which are told five of a video's captions. It prints
captions a second (a step includes the making of its batch), the most memory that the process had, and the hours of
all epochs, without validation.
"""

from __future__ import annotations

import argparse
import resource
import time
import tomllib
from collections.abc import Iterator
from itertools import chain, count, islice
from pathlib import Path

import numpy as np
import torch
from flickr8k import ROOT, config
from training import msrvtt

from videocap.extract.corpus.table import Video
from videocap.extract.shards.shard import Features
from videocap.model.config import ASPECTS, AspectsConfig
from videocap.model.frames import Batch
from videocap.model.training.batches import TrainingData
from videocap.model.training.trainer import Trainer
from videocap.model.vocabulary import build

WIDTH, EMBEDDING = 512, 512  # numbers in a row of ViT-B/16's features, of frames and captions


def trainer(file: Path, videos: int | None = None, aspects: bool = False) -> Trainer:
    """A config's captioner in training on MSR-VTT's captions, or on those of so many videos."""
    settings = config(file, {})
    use = ASPECTS if aspects else ()
    settings.aspects = AspectsConfig(use=use)
    captions, _, _ = msrvtt()
    frames = tomllib.loads(file.read_text(encoding="utf-8")).get("decode", {}).get("frames", 20)
    made = [
        Video(name, "", "train", tuple(of), {aspect: tuple(of[:5]) for aspect in use})
        for name, of in sorted(captions.items())[:videos]
    ]
    draw = np.random.default_rng(0)
    values = draw.standard_normal((len(made) * frames, WIDTH), np.float32).astype(np.float16)
    texts = sorted({text for video in made for text in video.captions})
    embeddings = draw.standard_normal((len(texts), EMBEDDING), np.float32).astype(np.float16)
    words = build((text for video in made for text in video.captions), settings.vocabulary.min_count)
    data = TrainingData(
        made,
        Features(values, np.arange(len(made) + 1) * frames, np.zeros(len(values), np.float32)),
        words,
        embeddings=embeddings if settings.train.distill_weight else None,
        rows={text: row for row, text in enumerate(texts)},
        target=settings.vis2text.target,
        aspects=use,
        max_tokens=settings.decoder.max_tokens,
        max_aspect_tokens=settings.decoder.max_aspect_tokens,
    )
    return Trainer(settings, data, len(words))


def batches(of: Trainer) -> Iterator[Batch]:
    return chain.from_iterable(of._batches(number) for number in count(1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "msrvtt.toml")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--videos", type=int, help="to train on, in place of all")
    parser.add_argument("--aspects", action="store_true")
    chosen = parser.parse_args()
    one = trainer(chosen.config, chosen.videos, chosen.aspects)
    source, options = batches(one), one.options
    one.model.train()
    for batch in islice(source, 3):  # what is only done once
        one._step(batch)
    started, captions = time.perf_counter(), 0
    for batch in islice(source, chosen.steps):
        one._step(batch)
        captions += len(batch.tokens)
    seconds = time.perf_counter() - started
    steps = one.steps * options.epochs
    weights = sum(weight.numel() for weight in one.model.parameters())
    print(
        f"{one.device}, {torch.get_num_threads()} threads; width {one.model.embedding.embedding_dim}, "
        f"{len(one.model.embedding.weight):,} words, {weights / 1e6:.1f} million weights"
    )
    print(f"{captions / seconds:.0f} captions/s, {chosen.steps / seconds:.2f} steps/s")
    print(f"most memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")
    if torch.cuda.is_available():
        print(f"of the GPU {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    print(f"{options.epochs} epochs of {one.steps:,} steps: {steps * seconds / chosen.steps / 3600:.1f} hours")


if __name__ == "__main__":
    main()
