"""Pushing a store to a folder and pulling it from there, checks included, against copying its files.

    python benchmarks/sharing.py [--shards 16] [--megabytes 128] [--rounds 9]

Prints the speed of `videocap store push` and `pull`, in process, over that of `shutil.copyfile` of the same shards. The
sides come in any order, each writes to a folder that is empty. The shards are in the system's cache. The fastest round
of each side counts: what makes others slow, by four times here, is memory that the system took back meanwhile.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from videocap import tasks
from videocap.extract.shards import writer
from videocap.extract.shards.checks import check_arrived
from videocap.pipeline.config import load
from videocap.pipeline.sharing import push_pull
from videocap.pipeline.sharing.folder import Folder
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stores.store import Store

WIDTH = 512


def experiment_in(folder: Path) -> Experiment:
    """An experiment whose artifacts are in a folder. Its specs need no file: the weights are OpenAI's."""
    override = f"encoder.weights=ViT-B/16 text_encoder.weights=ViT-B/16 encoder.pixels=224 pipeline.artifacts={folder}"
    config = load(tasks.Config, tasks.DEFAULT_CONFIG, override)
    return Experiment(config, tasks.Report)


def fill(store: Store, shards: int, megabytes: int) -> None:
    """Publish shards of that size, of 128 videos each."""
    rng = np.random.default_rng(0)
    rows = megabytes * (1 << 20) // (2 * WIDTH * 128)
    for number in range(shards):
        items = [(f"video{n}", hashlib.sha256(f"{number} {n}".encode()).hexdigest()) for n in range(128)]
        values = [rng.random((rows, WIDTH), np.float32).astype(np.float16) for _ in items]

        def write(path: Path, key: str, items: list = items, values: list = values) -> dict:
            info = writer.write(path, items=items, arrays=values, times=None, spec=store.spec, key=key)
            return {"digests": [d for _, d in items], "failures": [], "content": info.content, "provenance": {}}

        store.publish_shard(items, 0, write, {})


def seconds(work: Callable[[], object], folder: Path) -> float:
    """Time of work that fills a folder, which is deleted again."""
    started = time.perf_counter()
    work()
    taken = time.perf_counter() - started
    shutil.rmtree(folder)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--megabytes", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as temporary:
        folder = Path(temporary).absolute()
        here = experiment_in(folder / "here")
        store = tasks.EmbedFramesShard.of(here).store
        fill(store, chosen.shards, chosen.megabytes)

        def copy() -> None:
            (folder / "copied").mkdir()
            for path in store.folder.glob("*.h5"):
                shutil.copyfile(path, folder / "copied" / path.name)

        def push() -> None:
            sent = list(push_pull.push(here, ["EmbedFramesShard"], Folder(folder / "team")))
            assert sent[0].files == chosen.shards, sent

        def pull() -> None:
            place = Folder(here.artifacts.root)
            sent = list(push_pull.pull(elsewhere, ["EmbedFramesShard"], place, check_arrived))
            assert sent[0].files == chosen.shards, sent

        sides = {"copied": copy, "team": push, "elsewhere": pull}
        times: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(chosen.rounds + 1):
            for name in random.Random(number).sample(sorted(sides), 3):
                elsewhere = experiment_in(folder / "elsewhere")  # which remembers no manifest
                times[name].append(seconds(sides[name], folder / name))
    best = {name: min(taken[1:]) for name, taken in times.items()}
    print(f"push to a folder, over shutil.copyfile:   {best['copied'] / best['team']:.2f}")
    print(f"pull from a folder, over shutil.copyfile: {best['copied'] / best['elsewhere']:.2f}")


if __name__ == "__main__":
    main()
