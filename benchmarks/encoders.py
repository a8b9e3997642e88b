"""Frames and captions through our encoder and through OpenAI's module, ViT-B/16 with random weights, on the CPU.

    python benchmarks/encoders.py [--frames 32] [--texts 512] [--no-compile] [--rounds 3]

The sides take turns in one process; medians of the rounds. Captions are of real MSR-VTT videos.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from stores import medians
from torch.nn import functional as F

from videocap.extract.device import resolve
from videocap.extract.encoders.encoder import normalize
from videocap.extract.encoders.openai_clip import MEAN, STD, ClipEncoder, clip

CAPTIONS = Path(__file__).parents[1].parent / "shared" / "data" / "msrvtt" / "val.json"


def random_clip() -> clip.model.CLIP:
    """A full-size ViT-B/16 in fp32."""
    torch.manual_seed(0)
    return clip.model.CLIP(512, 224, 12, 768, 16, 77, 49408, 512, 8, 12).eval()


def products(frames: int, dtype: torch.dtype) -> Callable[[], None]:
    """The matrix products of a block's MLP for some frames, and nothing else: 4 of 2 · (frames · 197) · 768 · 3072."""
    rows, up = torch.randn(frames * 197, 768, dtype=dtype), torch.randn(3072, 768, dtype=dtype)
    wide, down = torch.randn(frames * 197, 3072, dtype=dtype), torch.randn(768, 3072, dtype=dtype)

    def work() -> None:
        for _ in range(2):
            F.linear(rows, up)
            F.linear(wide, down)

    return work


def operations(frames: int) -> tuple[float, float]:
    """Floating point operations of some frames through ViT-B/16, and of `products`."""
    block = 12 * 197 * 768**2 + 2 * 197**2 * 768
    return frames * 2.0 * (12 * block + 196 * 768**2), 4 * 2.0 * frames * 197 * 768 * 3072


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--no-compile", action="store_true", help="it takes half a minute and more")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    theirs = random_clip()
    ours = {precision: ClipEncoder(theirs, resolve("cpu", precision)) for precision in ("fp32", "bf16")}
    compiled = ClipEncoder(theirs, resolve("cpu", "bf16"))
    try:
        if not chosen.no_compile:
            compiled.compile(chosen.frames)
    except ValueError as error:  # no compiler here
        print(error)
    frames = np.random.default_rng(0).integers(0, 256, (chosen.frames, 224, 224, 3), np.uint8)
    seconds = medians(
        {
            "theirs": lambda: theirs.encode_image(normalize(torch.from_numpy(frames), MEAN, STD)),
            "fp32": lambda: ours["fp32"].encode(frames),
            "bf16": lambda: ours["bf16"].encode(frames),
            "compiled": lambda: compiled.encode(frames),
            "products": products(chosen.frames, torch.bfloat16),
        },
        chosen.rounds,
    )
    whole, part = operations(chosen.frames)
    print(f"frames: ours fp32 / OpenAI's fp32   {seconds['theirs'] / seconds['fp32']:.2f}")
    print(f"frames: ours bf16 / OpenAI's fp32   {seconds['theirs'] / seconds['bf16']:.2f}")
    print(f"frames: ours bf16 / bf16 products   {whole / seconds['bf16'] / (part / seconds['products']):.2f}")
    if compiled.computed != str(compiled.where):
        print(f"frames: ours bf16 compiled / eager  {seconds['bf16'] / seconds['compiled']:.2f}")

    videos = json.loads(CAPTIONS.read_text()).values()
    distinct = list(dict.fromkeys(text for video in videos for text in video.values()))
    texts = distinct[:: len(distinct) // chosen.texts][: chosen.texts]
    seconds = medians(
        {
            "theirs": lambda: [theirs.encode_text(batch) for batch in clip.tokenize(texts, truncate=True).split(64)],
            **{name: lambda encoder=encoder: encoder.encode_text(texts, 64) for name, encoder in ours.items()},
        },
        chosen.rounds,
    )
    for name in ours:
        print(f"captions: ours {name} / OpenAI's fp32 {seconds['theirs'] / seconds[name]:.2f}")


if __name__ == "__main__":
    main()
