"""Reading a store of 10,000 videos with 20 rows of 512 features: through `open_store`, and by other means.

    python benchmarks/stores.py [--videos 10000] [--rounds 5]

- random reads of single videos, against those from one contiguous dataset by plain h5py: from a store that has been
  read before, and from one that is opened anew with all its shards
- the whole store into memory, digests checked, over reading the bytes of its files
- opening the store and reading one video, in a new process, after imports: milliseconds
The sides take turns; medians of the rounds. Files are in the system's cache on all sides.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from videocap import open_store
from videocap.extract.shards import writer
from videocap.extract.shards.store import FeatureStore
from videocap.pipeline.stores.store import Store

ROWS, WIDTH, SHARD = 20, 512, 128
OPEN = """
import sys, time
import h5py, json, numpy
from videocap.extract.shards.store import FeatureStore
started = time.perf_counter()
FeatureStore(sys.argv[1])["video77"]
print(1000 * (time.perf_counter() - started))
"""


def make(folder: Path, videos: int) -> tuple[Path, Path]:
    """A store as a run publishes it, and the same rows as one dataset."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(videos * ROWS, WIDTH)).astype(np.float16)
    items = [(f"video{i}", hashlib.sha256(str(i).encode()).hexdigest()) for i in range(videos)]
    spec = {"stage": "EmbedFramesShard", "config": {}, "inputs": {}}
    store = Store(folder / "store", spec)
    for start in range(0, videos, SHARD):
        pack = items[start : start + SHARD]
        rows = list(values[start * ROWS : (start + len(pack)) * ROWS].reshape(len(pack), ROWS, WIDTH))

        def write(path: Path, key: str, pack: list = pack, rows: list = rows) -> dict:
            info = writer.write(path, items=pack, arrays=rows, times=None, spec=spec, key=key)
            return {"digests": [d for _, d in pack], "failures": [], "content": info.content, "provenance": {}}

        store.publish_shard(pack, 0, write, {})
    with h5py.File(folder / "one.h5", "w") as file:
        file["values"] = values
    return store.folder, folder / "one.h5"


def medians(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of each side, all in turn; the first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds + 1):
        for name, work in sides.items():
            started = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(taken[1:]) for name, taken in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    order = np.random.default_rng(1).permutation(chosen.videos).tolist()
    with tempfile.TemporaryDirectory() as folder:
        place, one = make(Path(folder), chosen.videos)
        shards = sorted(place.glob("*.h5"))

        def ours(store: FeatureStore | None = None) -> None:
            store = store or open_store(place)
            for i in order:
                store[f"video{i}"]

        def plain() -> None:
            with h5py.File(one) as file:
                values = file["values"]
                for i in order:
                    values[i * ROWS : (i + 1) * ROWS]

        again = open_store(place)
        seconds = medians({"first": ours, "again": lambda: ours(again), "plain": plain}, chosen.rounds)
        print(f"random reads: plain h5py / ours         {seconds['plain'] / seconds['again']:.2f}")
        print(f"… with the opening of {len(shards)} shards        {seconds['plain'] / seconds['first']:.2f}")
        sides = {"load": open_store(place).load, "bytes": lambda: [path.read_bytes() for path in shards]}
        seconds = medians(sides, chosen.rounds)
        print(f"whole store: reading bytes / ours       {seconds['bytes'] / seconds['load']:.2f}")
        run = [sys.executable, "-c", OPEN, str(place)]
        taken = [float(subprocess.run(run, capture_output=True, check=True).stdout) for _ in range(chosen.rounds)]
        print(f"open and read one video                 {statistics.median(taken):.1f} ms")


if __name__ == "__main__":
    main()
