"""Captions a second of 512 videos: the batched search, and the tests' reference that knows no batches and no cache.

    python benchmarks/generation.py [--videos 512] [--plain 4] [--rounds 3]

A captioner of default size with 10,000 words and beam 5, on one thread of the CPU in fp32, from frame features to word
ids. Its weights are random, but eos becomes likelier from word to word, so that captions have 9 words, as MSR-VTT's
have. The reference writes `--plain` of the videos, and its rate is taken for that of all. Most of its time is Python's,
which lists and sorts all extensions: "the model alone" is what it computes without that. The sides take turns in one
process; medians of the rounds.
"""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from stores import medians

from videocap.model.captioner.attention import sinusoid
from videocap.model.captioner.captioner import CAPTION, Captioner
from videocap.model.captioner.packed import Packed
from videocap.model.captions.search import search
from videocap.model.config import AspectsConfig, DecoderConfig, FusionConfig, GenerateConfig, Vis2TextConfig
from videocap.model.vocabulary import EOS, SOS

sys.path.append(str(Path(__file__).parents[1] / "tests" / "helpers"))
sys.path.append(str(Path(__file__).parents[1] / "tests" / "model" / "captions"))
from test_search import reference

FRAMES, WIDTH, WORDS, LONG = 20, 512, 10_000, 12


def captioner() -> Captioner:
    """A captioner with random weights that ends its captions."""
    torch.manual_seed(0)
    sections = SimpleNamespace(
        fusion=FusionConfig(), vis2text=Vis2TextConfig(), aspects=AspectsConfig(), decoder=DecoderConfig()
    )
    model = Captioner(sections, d_in=WIDTH, d_text=WIDTH, words=WORDS).eval()
    early, late = sinusoid(torch.tensor([2, 10]), model.embedding.embedding_dim)
    model.embedding.weight.data[EOS] = 4 * (late - early) / (late - early).norm()
    return model


@torch.inference_mode()
def step_and_pass(model: Captioner, features: torch.Tensor, beam: int, rounds: int) -> tuple[float, float]:
    """Seconds of one word more for all hypotheses, and of reading all their words at once."""
    memory = model.encode(features, torch.ones(features.shape[:2], dtype=torch.bool))
    words = torch.randint(4, WORDS, (len(features), beam, LONG))
    cache = model.start(memory, CAPTION)
    for place in range(LONG - 1):
        model.step(CAPTION, words[:, :, place], cache)
    before = cache.length, list(cache.past)

    def step() -> None:
        cache.length, cache.past[:] = before[0], before[1]
        model.step(CAPTION, words[:, :, -1], cache)

    texts = torch.cat((words.flatten(0, 1), torch.full((len(features) * beam, 1), EOS)), 1)
    owners = torch.arange(len(features)).repeat_interleave(beam)

    def whole() -> None:
        hidden = model.hidden(memory, CAPTION, Packed.of(texts), owners)
        model.logits(hidden[LONG - 1 :: LONG])

    seconds = medians({"step": step, "whole": whole}, rounds)
    return seconds["step"], seconds["whole"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--videos", type=int, default=512)
    parser.add_argument("--plain", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    torch.set_num_threads(1)  # where processors are shared, two wait for each other, the small products most
    gc.disable()  # or collections would be half of the reference's time
    options, model = GenerateConfig(), captioner()
    features = torch.randn(chosen.videos, FRAMES, WIDTH)
    beam, penalty = options.beam, options.length_penalty
    written: dict[str, list[list[int]]] = {}

    def batched() -> None:
        written["batched"] = []
        for part in features.split(options.batch_size):
            memory = model.encode(part, torch.ones(part.shape[:2], dtype=torch.bool))
            written["batched"] += search(model, memory, CAPTION, beam, penalty)[0]

    def plain() -> None:
        written["plain"] = [reference(model, one, CAPTION, beam, penalty)[0][1] for one in features[: chosen.plain]]

    def alone() -> None:
        for one, words in zip(features, written["plain"], strict=False):
            memory = model.encode(one[None], torch.ones(1, FRAMES, dtype=torch.bool))
            for length in range(len(words) + 1):
                for _ in range(beam if length else 1):
                    read = Packed.of(torch.tensor([[SOS, *words[:length], EOS]]))
                    model.logits(model.hidden(memory, CAPTION, read)[-1:])

    seconds = medians({"batched": batched, "plain": plain, "alone": alone}, chosen.rounds)
    ours, theirs, least = chosen.videos / seconds["batched"], *(chosen.plain / seconds[of] for of in ("plain", "alone"))
    lengths = sorted(map(len, written["batched"]))
    same = sum(one == other for one, other in zip(written["plain"], written["batched"], strict=False))
    print(f"captions of {lengths[0]} to {lengths[-1]} words, {sum(lengths) / len(lengths):.1f} in the mean")
    print(f"of {chosen.plain} by the reference, {same} are the same")
    print(f"batched and cached              {ours:7.2f} captions/s")
    print(f"reference                       {theirs:7.2f} captions/s: batched / this {ours / theirs:.1f}")
    step, whole = step_and_pass(model, features[: options.batch_size], beam, chosen.rounds)
    print(f"the last of {LONG} words with what is known, over a pass through all of them: {step / whole:.3f}")
    print(f"reference, the model alone      {least:7.2f} captions/s: batched / this {ours / least:.1f}")


if __name__ == "__main__":
    main()
