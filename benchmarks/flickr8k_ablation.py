"""What each step of the recipe for Flickr8k gives: the recipe with one thing changed, by validation scores.

    python benchmarks/flickr8k_ablation.py OUT [--config configs/flickr8k.toml] [--epochs 10] [--seeds 1]
        [--precision bf16] [--rows NAME ...]

Data, training and choice of the epoch are those of `flickr8k.py`. R-Drop, which doubles a training's time, is a row of
its own, and not in the others (`base`). Beam sizes and length penalties are tried on the first row's models. What is
trained lies in OUT, and is not trained again: a killed run goes on.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import sqrt
from pathlib import Path
from statistics import mean

from flickr8k import DATA, ROOT, SHOWN, Flickr8k, config, once, train_ours, write_ours
from torch import Tensor, nn

from videocap.model.captioner.captioner import Captioner
from videocap.model.scores.metrics import score
from videocap.model.vocabulary import build

BASE = {"train.r_drop": 0.0}
SEARCHES = [(1, 1.0), (3, 1.0), (5, 1.0), (8, 1.0), (10, 1.0), (5, 0.0), (5, 0.5), (5, 1.5)]  # beam, length penalty


class Loud(nn.Embedding):
    """Words as loud as the layers' own norm when they are read, and quieter by as much where they are scored."""

    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens) * sqrt(self.embedding_dim)


def loud_words(model: Captioner) -> None:
    """As it was: the score of the word that was just read is some units ahead of all others at the start."""
    model.embedding = Loud(*model.embedding.weight.shape)
    nn.init.normal_(model.embedding.weight, std=model.embedding.embedding_dim**-0.5)
    nn.init.normal_(model.positions.weight, std=0.5**0.5)  # as loud as sines


def without_norms(model: Captioner) -> None:
    model.fusion.after = nn.ModuleList(nn.Identity() for _ in model.fusion.after)


ROWS: dict[str, tuple[dict[str, object], Callable[[Captioner], None] | None]] = {
    "base": ({}, None),
    "loud-words": ({}, loud_words),
    "no-norm": ({}, without_norms),
    "dropout-0.1": ({"decoder.dropout": 0.1}, None),
    "dropout-0.2": ({"decoder.dropout": 0.2}, None),
    "layers-1": ({"decoder.layers": 1}, None),
    "layers-3": ({"decoder.layers": 3}, None),
    "no-smoothing": ({"train.label_smoothing": 0.0}, None),
    "no-consensus": ({"train.consensus": 0.0}, None),
    "word-dropout-0.1": ({"train.word_dropout": 0.1}, None),
    "ema-0.999": ({"train.ema": 0.999}, None),
    "r-drop-2": ({"train.r_drop": 2.0}, None),
    "twice-as-long": ({}, None),
}


@contextmanager
def changed(change: Callable[[Captioner], None] | None) -> Iterator[None]:
    """Every captioner that is built meanwhile is changed."""
    original = Captioner.__init__

    def init(self: Captioner, *args: object, **options: object) -> None:
        original(self, *args, **options)
        if change:
            change(self)

    Captioner.__init__ = init
    try:
        yield
    finally:
        Captioner.__init__ = original


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "flickr8k.toml")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--images", type=int, help="of each split")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    chosen = parser.parse_args()
    warnings.filterwarnings("ignore", message="enable_nested_tensor")
    data = Flickr8k(DATA, chosen.images)
    wanted = data.captions["val"]

    def show(name: str, texts: list[dict[str, str]], beside: float | None = None) -> float:
        scores = [score(of, wanted).corpus for of in texts]
        cells = [mean(row[metric] for row in scores) for metric in SHOWN]
        ahead = "" if beside is None else f"{cells[0] - beside:>+11.3f}"
        print(f"{name:<26}" + "".join(f"{cell:>9.3f}" for cell in cells) + ahead, flush=True)
        return cells[0]

    print(f"{len(wanted)} validation images, {chosen.epochs} epochs, {chosen.seeds} seeds, {chosen.precision}")
    print(f"{'':<26}" + "".join(f"{metric:>9}" for metric in SHOWN) + "  CIDEr more")
    first = None
    for name in chosen.rows:
        fields, change = ROWS[name]
        texts, folders = [], []
        for seed in range(chosen.seeds):
            epochs = chosen.epochs * (2 if name == "twice-as-long" else 1)
            options = {"seed": seed, "epochs": epochs, "precision": chosen.precision}
            settings = config(
                chosen.config, BASE | fields | {f"train.{option}": value for option, value in options.items()}
            )
            words = build(
                (text for of in data.captions["train"].values() for text in of), settings.vocabulary.min_count
            )
            folder = chosen.out / f"{name}-{seed}"
            with changed(change):
                make = partial(train_ours, data, words, settings=settings)
                folders.append(once(folder, (vars(settings), chosen.images), make))
                texts.append(write_ours(data, "val", folders[-1:], settings.generate.beam, settings))
        found = show(name, texts, first)
        if first is None:
            first = found
            for beam, penalty in SEARCHES:
                settings.generate = settings.generate.model_copy(update={"length_penalty": penalty})
                texts = [write_ours(data, "val", [folder], beam, settings) for folder in folders]
                show(f"  beam {beam}, length penalty {penalty:g}", texts, first)


if __name__ == "__main__":
    main()
