"""What time adds on real video: MSR-VTT's first 1,000 videos by five folds, our model beside its controls, and Table 4.

    python benchmarks/msrvtt_folds.py OUT [--part controls|table4] [--config benchmarks/msrvtt_folds.toml] [--folds 5]

Features are those of `shared/data/real/msrvtt` (50 frames in order of time, VGG16 squeezed to 128 numbers), captions
the official ones. Every video is tested once: fold k trains with seed k on 700 videos, chooses its epoch on 100 others,
and writes captions of the 200 that remain. All 1,000 captions are scored together; intervals are of a bootstrap over
videos, differences of a paired one. `controls`: the model, shuffled frames, one frame, no frames (blind), nearest
videos. `table4`: block × scales, each row with the learning rate that validation videos chose (mean over the folds of
`--choose`). What is trained lies in OUT, and is not trained again: a killed run goes on.
"""

from __future__ import annotations

import argparse
import json
import random
import zipfile
from pathlib import Path
from statistics import mean
from types import SimpleNamespace

import h5py
import numpy as np
from flickr8k import SHOWN, config, neighbours, once, train_ours, write_ours

from videocap.extract.shards.shard import Features
from videocap.model.report.curves import read
from videocap.model.scores.bootstrap import intervals, resampled
from videocap.model.scores.metrics import Scores, score
from videocap.model.vocabulary import build

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data" / "real" / "msrvtt"
ROWS = {
    f"{block}, {scales} scale{'s' * (scales > 1)}": (block, scales)
    for block in ("lstm", "transformer", "conv1d")
    for scales in (1, 3)
}
CONTROLS = {"model": "all", "shuffled frames": "shuffled", "one frame": "one", "blind": "none"}


class Fold:
    """Train, validation and test of one fold, as `flickr8k.Flickr8k`."""

    def __init__(self, captions: dict[str, list[str]], rows: dict[str, np.ndarray], number: int, folds: int) -> None:
        names = sorted(captions)
        random.Random(0).shuffle(names)
        test = names[number::folds]
        rest = [name for name in names if name not in set(test)]
        random.Random(number).shuffle(rest)
        val = len(names) // 10
        split = {"train": sorted(rest[val:]), "val": sorted(rest[:val]), "test": sorted(test)}
        self.captions = {part: {name: captions[name] for name in of} for part, of in split.items()}
        self.rows = {part: np.stack([rows[name] for name in of]) for part, of in split.items()}

    def features(self, part: str) -> Features:
        rows = self.rows[part].astype(np.float16)
        offsets = np.arange(len(rows) + 1) * rows.shape[1]
        return Features(rows.reshape(-1, rows.shape[2]), offsets, np.zeros(offsets[-1], np.float32))


def data(videos: int) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
    """Captions and rows of the first videos."""
    with h5py.File(DATA / "vgg128_1000_videos.hdf5") as file:
        rows = {name: file[name][:] for name in sorted(file)[:videos]}
    captions: dict[str, list[str]] = {}
    for archive in ("train_val_annotation.zip", "test_videodatainfo.json.zip"):
        with zipfile.ZipFile(DATA / archive) as files:
            for name in (name for name in files.namelist() if name.endswith(".json") and "__MACOSX" not in name):
                for sentence in json.loads(files.read(name)).get("sentences", ()):
                    captions.setdefault(sentence["video_id"], []).append(sentence["caption"])
    return {name: captions[name] for name in rows}, rows


def trained(fold: Fold, out: Path, settings: SimpleNamespace) -> Path:
    words = build((text for of in fold.captions["train"].values() for text in of), settings.vocabulary.min_count)
    told = (vars(settings), len(fold.captions["train"]))
    return once(out, told, lambda folder: train_ours(fold, words, folder, settings))


def best_cider(folder: Path) -> float:
    """Of the epoch that a training kept, on its validation videos."""
    return max(row["val_cider"] for row in read(folder / "curves.csv"))


def show(name: str, scores: Scores, beside: Scores | None = None, more: str = "") -> None:
    spread = intervals(resampled(scores.videos)[0])["CIDEr"]
    text = f"{name:<22}" + "".join(f"{scores.corpus[metric]:>9.3f}" for metric in SHOWN)
    text += f"   CIDEr {spread[0]:.3f} to {spread[1]:.3f}"
    if beside is not None:
        ours, theirs = resampled(beside.videos, scores.videos)
        low, high = intervals(ours - theirs)["CIDEr"]
        text += f"   behind by {low:+.3f} to {high:+.3f}"
    print(text + more, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--part", choices=("controls", "table4"), default="controls")
    parser.add_argument("--config", type=Path, default=Path(__file__).with_suffix(".toml"))
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument(
        "--only", type=int, nargs="*", help="numbers of the folds to run, for the rest of two processes"
    )
    parser.add_argument("--choose", type=int, default=2, help="folds by whose validation videos a rate is chosen")
    parser.add_argument("--rates", type=float, nargs="+", default=(2.5e-4, 5e-4, 1e-3))
    parser.add_argument("--videos", type=int, default=1000)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    chosen = parser.parse_args()
    captions, rows = data(chosen.videos)
    folds = [Fold(captions, rows, number, chosen.folds) for number in range(chosen.folds)]
    numbers = range(chosen.folds) if chosen.only is None else chosen.only

    def of_fold(number: int, **more: object) -> SimpleNamespace:
        changes = {"seed": number, "epochs": chosen.epochs, "precision": chosen.precision}
        return config(chosen.config, {f"train.{name}": value for name, value in changes.items()} | more)

    def written(name: str, number: int, settings: SimpleNamespace) -> dict[str, str]:
        folder = trained(folds[number], chosen.out / f"{name.replace(' ', '-').replace(',', '')}-{number}", settings)
        return write_ours(folds[number], "test", [folder], settings.generate.beam, settings)

    def whole(of: list[dict[str, str]]) -> Scores | None:
        """Scores of the captions of all folds, if all are there."""
        texts = {name: text for part in of for name, text in part.items()}
        return score(texts, captions) if len(texts) == len(captions) else None

    print(f"{'':<22}" + "".join(f"{metric:>9}" for metric in SHOWN))
    if chosen.part == "controls":
        model = None
        for name, frames in CONTROLS.items():
            scores = whole([written(name, number, of_fold(number, **{"fusion.frames": frames})) for number in numbers])
            if scores:
                show(name, scores, model)
                model = model or scores
        show("nearest videos", whole([neighbours(fold, "test") for fold in folds]), model)
        return
    for name, (block, scales) in ROWS.items():
        row, found = {"fusion.block": block, "fusion.scales": scales}, {}
        for lr in chosen.rates:
            of = range(min(chosen.choose, chosen.folds))  # whichever folds are to run: all choose alike
            runs = [(number, of_fold(number, **row, **{"train.lr": lr})) for number in of]
            folders = [trained(folds[n], chosen.out / f"{block}-{scales}-{lr:g}-{n}", settings) for n, settings in runs]
            found[lr] = mean(map(best_cider, folders))
        best = max(found, key=found.get)
        parts = [written(f"{block}-{scales}-{best:g}", n, of_fold(n, **row, **{"train.lr": best})) for n in numbers]
        if scores := whole(parts):
            show(
                name,
                scores,
                more=f"   rate {best:g} (validation {', '.join(f'{lr:g} {v:.3f}' for lr, v in found.items())})",
            )


if __name__ == "__main__":
    main()
