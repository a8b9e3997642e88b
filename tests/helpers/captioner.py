"""A small captioner's config, videos with features that say which caption they have, and their training data."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import torch

from videocap.model.captioner.captioner import Captioner
from videocap.model.captioner.packed import Packed
from videocap.model.config import ASPECTS, AspectsConfig, DecoderConfig, FusionConfig, TrainConfig, Vis2TextConfig
from videocap.model.training.batches import TrainingData
from videocap.model.vocabulary import EOS, Vocabulary, build

D_IN, D_TEXT = 12, 10


@dataclass
class Video:
    id: str
    captions: tuple[str, ...]
    aspects: dict[str, tuple[str, ...]] = field(default_factory=dict)


def config(
    aspects=ASPECTS, width=16, max_tokens=9, fusion=None, vis2text=None, decoder=None, **train
) -> SimpleNamespace:
    """Sections of a small captioner; `train` are fields of TrainConfig, `fusion` and so on of theirs."""
    sizes = {"heads": 2, "inner": 2 * width, "dropout": 0.1, "max_tokens": max_tokens, "max_aspect_tokens": 6}
    return SimpleNamespace(
        fusion=FusionConfig(**(fusion or {})),
        vis2text=Vis2TextConfig(**(vis2text or {})),
        aspects=AspectsConfig(use=aspects, queries=2),
        decoder=DecoderConfig(width=width, **{**sizes, **(decoder or {})}),
        train=TrainConfig(**{"device": "cpu", "batch_size": 4, "epochs": 4, **train}),
    )


SUBJECTS = ("a red ball", "a blue cube", "the dog", "two people")
EVENTS = ("rolls away", "jumps", "vanishes slowly", "dances and sings")


def videos(count: int) -> list[Video]:
    """Videos with two captions each, told apart by their words; every third has no `effect`."""
    made = []
    for index in range(count):
        subject, event = SUBJECTS[index % 4], EVENTS[index // 4 % 4]
        aspects = {"intention": ("to " + event, "to have fun"), "attribute": ("quick",)}
        if index % 3:
            aspects["effect"] = (f"{subject} is gone",)
        captions = (f"{subject} {event}", f"{subject} {event} once more")
        made.append(Video(f"video{index}", captions, aspects))
    return made


def features(count: int, seed: int = 0, lengths=(5, 8, 3, 8)) -> SimpleNamespace:
    """Random float16 features of `count` videos, of different numbers of frames."""
    frames = [lengths[index % len(lengths)] for index in range(count)]
    offsets = np.cumsum([0, *frames])
    values = np.random.default_rng(seed).standard_normal((offsets[-1], D_IN)).astype(np.float16)
    return SimpleNamespace(values=values, offsets=offsets)


def vocabulary(of: list[Video]) -> Vocabulary:
    return build([text for video in of for texts in (video.captions, *video.aspects.values()) for text in texts], 1)


def training_data(of: list[Video], aspects=ASPECTS, embeddings="drawn", target="raw", consensus=0.0) -> TrainingData:
    rows = {caption: index for index, caption in enumerate(sorted({c for video in of for c in video.captions}))}
    if isinstance(embeddings, str):
        embeddings = np.random.default_rng(1).standard_normal((len(rows), D_TEXT)).astype(np.float16)
    return TrainingData(
        of,
        features(len(of)),
        vocabulary(of),
        consensus=consensus,
        embeddings=embeddings,
        rows=rows,
        target=target,
        aspects=aspects,
        max_tokens=9,
        max_aspect_tokens=6,
    )


BLOCKS = ("lstm", "transformer", "conv1d")

WORDS = 40


def make(seed=0, **options) -> Captioner:
    torch.manual_seed(seed)
    return Captioner(config(**options), d_in=D_IN, d_text=D_TEXT, words=WORDS).eval()


def batch(count=6, aspects=ASPECTS):
    """One of `count` videos with a caption each: caption i is of video i."""
    drawn = next(training_data(videos(count), aspects).epoch(1, seed=0, batch_size=count, epoch="video"))
    own = drawn.owners
    return replace(drawn, frames=drawn.frames[own], mask=drawn.mask[own], owners=torch.arange(count))


def logits(model, memory, source, tokens: torch.Tensor) -> torch.Tensor:
    """Scores (B, T, V) of the word after each of `tokens` (B, T)."""
    flat, (texts, length) = tokens.flatten(), tokens.shape
    words = Packed(flat, flat, torch.arange(len(flat)), texts, length)
    return model.logits(model.hidden(memory, source, words)).view(texts, length, -1)


def random_captioner(seed: int, words: int, max_tokens: int = 5, **decoder: int) -> Captioner:
    """A random model in float64 whose word scores differ enough that searches differ."""
    torch.manual_seed(seed)
    sections = config(("effect",), max_tokens=max_tokens, decoder=decoder)
    model = Captioner(sections, d_in=D_IN, d_text=D_TEXT, words=words).double()
    for name, weight in model.named_parameters():
        if weight.ndim > 1:  # as drawn, a model says much the same, whatever it sees
            weight.data.mul_(15 if name == "embedding.weight" else 4)
    model.bias.data[EOS] += 0.8  # … and seldom ends
    return model.eval()
