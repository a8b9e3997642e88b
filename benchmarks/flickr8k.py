"""Validation scores on Flickr8k: a stock Transformer, our captioner, and captions of the nearest images, three seeds.

    python benchmarks/flickr8k.py OUT [--config configs/flickr8k.toml] [--seeds 3] [--precision bf16]
        [--sides stock ours] [--write test.json [--ensemble]]

On the features of `shared/data/real/flickr8k` (8,000 images, 17 rows each, EfficientNet-Lite0), the official split. All
sides train on the same captions, as many of them, and are chosen by greedy CIDEr on the validation images, epoch by
epoch; all are then written with the same beam. The stock side is torch's `nn.Transformer` with learned positions, one
encoder layer and two decoder layers of width 256, by AdamW with a cosine: no part of ours but the beam search. Ours is
as its config has it. What is trained lies in OUT, and is not trained again: a killed run goes on. `--write` puts
captions of the test images into a file that `videocap score` reads: of the seed with the best validation CIDEr, or of
all seeds together.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import tomllib
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from types import SimpleNamespace

import h5py
import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from videocap.extract.corpus.table import Video
from videocap.extract.shards.shard import Features
from videocap.model.captions import ensemble
from videocap.model.captions.search import caption, search
from videocap.model.config import SECTIONS
from videocap.model.scores.cider import CiderScorer
from videocap.model.scores.metrics import score
from videocap.model.scores.neighbours import most_agreed, nearest, video_means
from videocap.model.training.batches import TrainingData
from videocap.model.training.scst import Reward
from videocap.model.training.train import train
from videocap.model.vocabulary import PAD, Vocabulary, build

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data" / "real" / "flickr8k"
SHOWN = ("CIDEr", "METEOR", "BLEU-4", "ROUGE-L")
WIDTH, HEADS, INNER, DROPOUT, RATE = 256, 8, 1024, 0.2, 5e-4  # of the stock side


class Stock(nn.Module):
    """A captioner as one writes it with torch's own layers."""

    def __init__(self, d_in: int, words: int, longest: int) -> None:
        super().__init__()
        self.max_tokens = {"caption": longest}
        self.project = nn.Linear(d_in, WIDTH)
        self.rows = nn.Embedding(17, WIDTH)
        self.embedding = nn.Embedding(words, WIDTH)
        self.places = nn.Embedding(longest + 1, WIDTH)
        for layer in (self.rows, self.embedding, self.places):
            nn.init.normal_(layer.weight, std=0.02)
        self.transformer = nn.Transformer(WIDTH, HEADS, 1, 2, INNER, DROPOUT, batch_first=True, norm_first=True)
        self.dropout = nn.Dropout(DROPOUT)
        self.output = nn.Linear(WIDTH, words)

    def memory(self, frames: Tensor) -> Tensor:
        return self.transformer.encoder(self.dropout(self.project(frames) + self.rows.weight))

    def forward(self, memory: Tensor, tokens: Tensor) -> Tensor:
        x = self.dropout(self.embedding(tokens) + self.places.weight[: tokens.shape[1]])
        causal = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return self.output(self.transformer.decoder(x, memory, tgt_mask=causal, tgt_is_causal=True))

    # what our beam search asks of a captioner: it reads all words again at every step

    def start(self, memory: SimpleNamespace, source: str) -> SimpleNamespace:
        cache = SimpleNamespace(memory=memory.values, read=None)

        def select(rows: Tensor, videos: Tensor) -> None:
            cache.memory, cache.read = cache.memory[videos], cache.read[rows]

        cache.select = select
        return cache

    def step(self, source: str, tokens: Tensor, cache: SimpleNamespace) -> Tensor:
        new = tokens.reshape(-1, 1)
        cache.read = new if cache.read is None else torch.cat((cache.read, new), 1)
        memory = cache.memory.repeat_interleave(tokens.shape[1], 0)
        return self(memory, cache.read)[:, -1].view(*tokens.shape, -1)


class Flickr8k:
    """Features and captions by split."""

    def __init__(self, folder: Path, images: int | None = None) -> None:
        self.captions: dict[str, dict[str, list[str]]] = {"train": {}, "val": {}}
        with (folder / "captions.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                self.captions[row["split"]].setdefault(row["video"], []).append(row["caption"])
        self.captions = {split: dict(sorted(of.items())[:images]) for split, of in self.captions.items()}
        self.captions["test"] = {name: [] for name in (folder / "test_ids.txt").read_text().split()[:images]}
        with h5py.File(folder / "features.hdf5") as file:
            self.rows = {split: np.stack([file[name][:] for name in of]) for split, of in self.captions.items()}

    def features(self, split: str) -> Features:
        rows = self.rows[split]
        offsets = np.arange(len(rows) + 1) * rows.shape[1]
        return Features(rows.reshape(-1, rows.shape[2]), offsets, np.zeros(offsets[-1], np.float32))


def train_stock(data: Flickr8k, words: Vocabulary, out: Path, epochs: int, seed: int, precision: str) -> None:
    """Train a stock captioner and keep its best weights."""
    torch.manual_seed(seed)
    rows = torch.from_numpy(data.rows["train"]).float()
    centre, spread = rows.mean((0, 1)), rows.std((0, 1))
    rows, val = (rows - centre) / spread, (torch.from_numpy(data.rows["val"]).float() - centre) / spread
    texts = [(image, words.encode(text, 30)) for image, of in enumerate(data.captions["train"].values()) for text in of]
    model, validate = Stock(rows.shape[2], len(words), 30), CiderScorer(data.captions["val"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    steps, best, curve = epochs * math.ceil(len(texts) / 64), -1.0, []
    warm = math.ceil(0.1 * steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda s: min((s + 1) / warm, 0.5 * (1 + math.cos(math.pi * max(0, s + 1 - warm) / (steps - warm)))),
    )
    loss_of = nn.CrossEntropyLoss(ignore_index=PAD, label_smoothing=0.1)
    for _ in tqdm(range(epochs), desc=f"stock {seed}", unit="epoch", disable=None):
        model.train()
        for part in torch.randperm(len(texts)).split(64):
            images = torch.tensor([texts[i][0] for i in part])
            tokens = nn.utils.rnn.pad_sequence([torch.tensor(texts[i][1]) for i in part], batch_first=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                scores = model(model.memory(rows[images]), tokens[:, :-1])
            loss = loss_of(scores.float().flatten(0, 1), tokens[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        found = validate.score(write_stock(model, val, list(data.captions["val"]), words, 1))
        curve.append(found)
        if found > best:
            best = found
            torch.save({"model": model.state_dict(), "centre": centre, "spread": spread}, out / "best.pt")
    (out / "curve.json").write_text(json.dumps(curve))


@torch.inference_mode()
def write_stock(model: Stock, rows: Tensor, names: list[str], words: Vocabulary, beam: int) -> dict[str, str]:
    model.eval()
    found: list[list[int]] = []
    for part in rows.split(100):
        memory = SimpleNamespace(values=model.memory(part), frames=torch.ones(part.shape[:2], dtype=torch.bool))
        found += search(model, memory, "caption", beam, 1.0)[0]
    return {name: words.decode(text) for name, text in zip(names, found, strict=True)}


def config(file: Path, changes: Mapping[str, object]) -> SimpleNamespace:
    """The sections of a config that training reads, with `changes` such as {"train.seed": 1}, but for those to None."""
    given = tomllib.loads(file.read_text(encoding="utf-8"))
    fields = {name: dict(given.get(name, {})) for name in SECTIONS}
    for (section, field), value in ((name.split("."), value) for name, value in changes.items()):
        if value is not None:
            fields[section][field] = value
    return SimpleNamespace(**{name: kind(**fields[name]) for name, kind in SECTIONS.items()})


def train_ours(data: Flickr8k, words: Vocabulary, out: Path, settings: SimpleNamespace) -> None:
    """Train our captioner as the pipeline's stage does."""
    videos = [Video(name, "", "train", tuple(texts)) for name, texts in data.captions["train"].items()]
    lengths = {"max_tokens": settings.decoder.max_tokens, "max_aspect_tokens": settings.decoder.max_aspect_tokens}
    train(
        settings,
        train=TrainingData(
            videos, data.features("train"), words, consensus=settings.train.consensus, aspects=(), **lengths
        ),
        val=(data.features("val"), list(data.captions["val"])),
        vocabulary=words,
        validate=CiderScorer(data.captions["val"]).score,
        reward=Reward([video.captions for video in videos], words) if settings.train.scst_epochs else None,
        scratch=out / "scratch",
        out=out,
    )


def write_ours(
    data: Flickr8k, split: str, folders: Sequence[Path], beam: int, settings: SimpleNamespace
) -> dict[str, str]:
    """Captions of a split by the captioner of a folder, or of several together."""
    model, words = ensemble.load(folders[0], folders[1:], "cpu")
    options = {"beam": beam, "length_penalty": settings.generate.length_penalty, "batch_size": 100, "device": "cpu"}
    rows = caption(model, words, data.features(split), list(data.captions[split]), **options)
    return {row["video_id"]: row["caption"] for row in rows}


def neighbours(data: Flickr8k, split: str) -> dict[str, str]:
    """Captions of the training images that look most like those of a split."""
    known, wanted = (video_means(data.features(part)) for part in ("train", split))
    near = nearest(known, wanted, list(data.captions["train"]), list(data.captions[split]))
    return dict(zip(data.captions[split], most_agreed(list(data.captions["train"].values()), near), strict=True))


def once(folder: Path, settings: object, make: Callable[[Path], None]) -> Path:
    """The folder of a training, which is made unless it is done; raises SystemExit if it is one of other settings."""
    told, file = f"{settings}\n", folder / "settings.txt"
    if file.exists() and file.read_text() != told:
        raise SystemExit(f"{folder}: is a training with other settings, see {file.name}: name another folder")
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(told)
        make(folder)
        (folder / "done").touch()
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    warnings.filterwarnings("ignore", message="enable_nested_tensor")  # torch's, of its own layers
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "flickr8k.toml")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--images", type=int, help="of each split")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--sides", nargs="+", choices=("stock", "ours"), default=("stock", "ours"))
    parser.add_argument("--write", type=Path, help="captions of the test images, by our captioner")
    parser.add_argument("--ensemble", action="store_true", help="all seeds write them together")
    chosen = parser.parse_args()
    data = Flickr8k(DATA, chosen.images)
    settings = config(chosen.config, {})
    epochs, beam = chosen.epochs or settings.train.epochs, settings.generate.beam
    words = build((text for of in data.captions["train"].values() for text in of), settings.vocabulary.min_count)
    found: dict[str, list[dict[str, str]]] = {f"{side}, beam {size}": [] for side in chosen.sides for size in (1, beam)}
    folders: list[Path] = []
    for seed in range(chosen.seeds):
        if "stock" in chosen.sides:
            make = partial(train_stock, data, words, epochs=epochs, seed=seed, precision=chosen.precision)
            folder = once(chosen.out / f"stock-{seed}", (epochs, chosen.precision, chosen.images), make)
            kept = torch.load(folder / "best.pt", weights_only=True)
            model = Stock(data.rows["val"].shape[2], len(words), 30)
            model.load_state_dict(kept["model"])
            rows = (torch.from_numpy(data.rows["val"]).float() - kept["centre"]) / kept["spread"]
            for size in (1, beam):
                found[f"stock, beam {size}"].append(write_stock(model, rows, list(data.captions["val"]), words, size))
        if "ours" in chosen.sides:
            of_seed = config(
                chosen.config, {"train.seed": seed, "train.epochs": epochs, "train.precision": chosen.precision}
            )
            make = partial(train_ours, data, words, settings=of_seed)
            folders.append(once(chosen.out / f"ours-{seed}", (vars(of_seed), chosen.images), make))
            for size in (1, beam):
                found[f"ours, beam {size}"].append(write_ours(data, "val", folders[-1:], size, settings))
    if len(folders) > 1:
        found[f"ours together, beam {beam}"] = [write_ours(data, "val", folders, beam, settings)]
    found["nearest images"] = [neighbours(data, "val")]
    print(f"{len(data.captions['val'])} validation images, {epochs} epochs, {chosen.precision}; mean ± sd of the seeds")
    print(f"{'':<18}" + "".join(f"{metric:>16}" for metric in SHOWN))
    best = (-1.0, 0)
    for side, captions in found.items():
        scores = [score(of, data.captions["val"]).corpus for of in captions]
        if side == f"ours, beam {beam}":
            best = max((row["CIDEr"], seed) for seed, row in enumerate(scores))
        cells = [[row[metric] for row in scores] for metric in SHOWN]
        shown = [f"{mean(of):.3f} ± {stdev(of) if len(of) > 1 else 0:.3f}" for of in cells]
        print(f"{side:<18}" + "".join(f"{cell:>16}" for cell in shown), flush=True)
    if chosen.write and folders:
        writers = folders if chosen.ensemble else folders[best[1] : best[1] + 1]
        written = write_ours(data, "test", writers, beam, settings)
        chosen.write.write_text(json.dumps([{"video_id": n, "caption": text} for n, text in written.items()], indent=0))


if __name__ == "__main__":
    main()
