"""How much of a training step is matrix products, and tokens a second, with as many videos as MSR-VTT trains on.

    python benchmarks/training.py [--videos 6513] [--steps 5] [--rounds 3]

Synthetic features of 6,513 videos, 20 frames of 512 numbers each, with 20 captions of 9 words in the mean and one text
an aspect, from 8,000 words: nothing of a training but what the numbers are. The captioner and its optimiser have
default sizes and batches; fp32, the CPU. A step includes the making of its batch. Tokens are words to be predicted and
ends. Beside a step stands what it must multiply: as many floating-point operations in large square products, which are
the fastest there are. The profiler, whose own time makes a step longer, says what takes how much of the rest; in it
attention counts as a product, though its softmax is in it, too.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from itertools import islice
from types import SimpleNamespace

import numpy as np
import torch
from stores import medians
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from videocap.extract.corpus.table import Video
from videocap.model.config import ASPECTS, AspectsConfig, DecoderConfig, FusionConfig, TrainConfig, Vis2TextConfig
from videocap.model.frames import Batch
from videocap.model.training.batches import TrainingData
from videocap.model.training.trainer import Trainer
from videocap.model.vocabulary import PAD, SPECIAL, Vocabulary

FRAMES, WIDTH, WORDS, CAPTIONS = 20, 512, 8_000, 20
PRODUCTS = ("mm", "attention", "rnn")  # in the names of operations


def data(videos: int) -> tuple[TrainingData, int]:
    """Training data of so many videos, and the size of its vocabulary."""
    rng = random.Random(0)
    words = [f"word{number}" for number in range(WORDS)]

    def text(mean: int) -> str:
        return " ".join(rng.choice(words) for _ in range(rng.randint(mean - 4, mean + 4)))

    made = [
        Video(str(i), "", "train", tuple(text(9) for _ in range(CAPTIONS)), {aspect: (text(6),) for aspect in ASPECTS})
        for i in range(videos)
    ]
    values = np.random.default_rng(0).standard_normal((videos * FRAMES, WIDTH), np.float32).astype(np.float16)
    features = SimpleNamespace(values=values, offsets=np.arange(videos + 1) * FRAMES)
    captions = sorted({caption for video in made for caption in video.captions})
    vocabulary = Vocabulary((*SPECIAL, *sorted(words)))
    table = TrainingData(
        made,
        features,
        vocabulary,
        embeddings=np.random.default_rng(1).standard_normal((len(captions), WIDTH), np.float32).astype(np.float16),
        rows={caption: row for row, caption in enumerate(captions)},
        aspects=ASPECTS,
        max_tokens=DecoderConfig().max_tokens,
        max_aspect_tokens=DecoderConfig().max_aspect_tokens,
    )
    return table, len(vocabulary)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--videos", type=int, default=6513)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    started = time.perf_counter()
    table, words = data(chosen.videos)
    sections = SimpleNamespace(
        fusion=FusionConfig(), vis2text=Vis2TextConfig(), aspects=AspectsConfig(), decoder=DecoderConfig()
    )
    sections.train = TrainConfig(device="cpu", precision="fp32")
    trainer = Trainer(sections, table, words)
    print(f"{chosen.videos} videos in memory after {time.perf_counter() - started:.0f} s")

    options = sections.train

    def batches() -> Iterator[Batch]:
        return islice(
            table.epoch(1, seed=0, batch_size=options.batch_size, epoch=options.epoch),
            chosen.steps,
        )

    texts = [text for batch in batches() for text in (batch.tokens, *batch.aspects.values())]
    tokens = sum(int((text[:, 1:] != PAD).sum()) for text in texts)

    def train() -> None:
        for batch in batches():
            trainer._step(batch)

    with FlopCounterMode(display=False) as counted:
        train()
    side = 2048
    square = torch.randn(side, side)

    def products() -> None:
        for _ in range(counted.get_total_flops() // (2 * side**3)):
            square @ square

    seconds = medians({"train": train, "products": products}, chosen.rounds)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        started = time.perf_counter()
        train()
        whole = 1e6 * (time.perf_counter() - started)
    spent = {event.key: event.self_cpu_time_total for event in profiled.key_averages()}
    inside = sum(used for name, used in spent.items() if any(part in name for part in PRODUCTS))
    rate = tokens / seconds["train"]
    size = min(options.batch_size, chosen.videos)
    print(f"a step of {size} videos        {1000 * seconds['train'] / chosen.steps:7.0f} ms")
    print(f"tokens                      {rate:7.0f} a second")
    print(f"outside matrix products     {1 - inside / whole:7.2f} of a step")
    print(f"the same products alone     {seconds['products'] / seconds['train']:7.2f} of a step")
    for name, used in sorted(spent.items(), key=lambda item: -item[1])[:12]:
        print(f"  {used / whole:5.3f} {name}")


if __name__ == "__main__":
    main()
