"""Hours that MSR-VTT would take on this machine, from the rates of its clips, captions and training steps.

    python benchmarks/hours.py [--rounds 3] [CLIP …]
    python benchmarks/hours.py --videos 4 --steps 1 --frames 1 --texts 8 --captioned 1 --rounds 1    # to see it work

Each rate is a median of rounds of what the pipeline itself calls; weights are random, which takes as long. The clips
are MSR-VTT's by default, captions to embed made up, of 9 words. Training is as configs/msrvtt.toml has it, each epoch
with a validation. Not in it: downloads, hashing the videos once, and scoring (a minute or two).
"""

from __future__ import annotations

import argparse
import random
import tempfile
from itertools import islice
from pathlib import Path

import generation
import numpy as np
import recipe
import torch
from encoders import random_clip
from frames import CLIPS, COUNT, in_a_shard
from stores import medians

from videocap.extract.encoders import load
from videocap.model.captions.search import search
from videocap.model.config import (
    GenerateConfig,
)
from videocap.model.training.trainer import Trainer

RECIPE = Path(__file__).parents[1] / "configs" / "msrvtt.toml"
VIDEOS, TRAINED, VALIDATED, TESTED, CAPTIONS = 10_000, 6_513, 497, 2_990, 130_260  # captions of the training split
WORDS = "a man woman dog is are talking playing cooking singing about in on the car kitchen guitar song".split()


@torch.inference_mode()
def write(model: torch.nn.Module, features: torch.Tensor) -> None:
    """Captions of some videos by beam search, without aspects."""
    options = GenerateConfig()
    memory = model.encode(features, torch.ones(features.shape[:2], dtype=torch.bool, device=features.device))
    search(model, memory, generation.CAPTION, options.beam, options.length_penalty)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clips", nargs="*", type=Path, default=sorted(CLIPS.glob("*.mp4")))
    parser.add_argument("--videos", type=int, default=TRAINED, help="to train on: less than a batch are smaller steps")
    parser.add_argument("--steps", type=int, default=3, help="of training, a round")
    parser.add_argument("--frames", type=int, default=32, help="to embed, a round")
    parser.add_argument("--texts", type=int, default=512, help="to embed, a round")
    parser.add_argument("--captioned", type=int, default=64, help="videos to write captions of, a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        torch.save(random_clip().half().state_dict(), Path(folder, "clip.pt"))
        clip = load.load(Path(folder, "clip.pt"))
    frames = np.random.default_rng(0).integers(0, 256, (options.frames, 224, 224, 3), np.uint8)
    texts = [" ".join(random.Random(number).choices(WORDS, k=9)) for number in range(options.texts)]
    kinds = {"": False, " with aspects": True}
    trainers = {name: recipe.trainer(RECIPE, options.videos, aspects) for name, aspects in kinds.items()}
    captioner = generation.captioner().to(trainers[""].device.device)
    features = torch.randn(options.captioned, COUNT, 512, device=trainers[""].device.device)

    def train(one: Trainer) -> None:
        one.model.train()
        for batch in islice(recipe.batches(one), options.steps):
            one._step(batch)

    works = {
        "decoding": lambda: in_a_shard(options.clips),
        "embedding frames": lambda: clip.encode(frames),
        "embedding captions": lambda: clip.encode_text(texts),
        "writing captions": lambda: write(captioner, features),
        **{f"training{name}": (lambda one=one: train(one)) for name, one in trainers.items()},
    }
    seconds = medians(works, options.rounds)
    told = next(iter(trainers.values())).options
    per_epoch = TRAINED if told.epoch == "video" else CAPTIONS
    steps = -(-per_epoch // told.batch_size) * told.epochs
    counts = {
        "decoding": ("videos", len(options.clips), VIDEOS),
        "embedding frames": ("frames", len(frames), VIDEOS * COUNT),
        "embedding captions": ("captions", len(texts), CAPTIONS),
        "writing captions": ("videos", len(features), TESTED + VALIDATED * told.epochs),
        **{f"training{name}": ("steps", options.steps, steps) for name in trainers},
    }
    print(f"encoder on {clip.where}, training on {trainers[''].device}; {torch.get_num_threads()} threads")
    print("| work | a second | of MSR-VTT | hours |\n|---|---|---|---|")
    for work, (unit, done, count) in counts.items():
        rate = done / seconds[work]
        print(f"| {work} | {rate:.2f} {unit} | {count:,} | {count / rate / 3600:.2f} |")


if __name__ == "__main__":
    main()
