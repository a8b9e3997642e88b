"""Verifying a store of 2 GB, 16 shards of features: over `sha256sum`, of the coreutils, of its files.

    python benchmarks/verifying.py [--shards 16] [--megabytes 128] [--rounds 5]

- speed of `pipeline.stores.verify.verify` with `extract.shards.checks.check_shard`, in this process, over that of
  `sha256sum`
- … over that of `hashlib` in one thread, which may have the processor's own instructions for SHA-256 where the
  `sha256sum` at hand has not
The sides take turns; medians of the rounds. Files are in the system's cache on all sides.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from stores import medians

from videocap.extract.shards import writer
from videocap.extract.shards.checks import check_shard
from videocap.pipeline.stores.store import Store
from videocap.pipeline.stores.verify import verify

ROWS, WIDTH = 20, 512
SPEC = {"stage": "EmbedFramesShard", "config": {}, "inputs": {}}


def make(folder: Path, shards: int, megabytes: int) -> Store:
    """A store as a run publishes it."""
    store, count = Store(folder, SPEC), megabytes * 10**6 // (2 * ROWS * WIDTH)
    for number in range(shards):
        rows = np.random.default_rng(number).standard_normal((count, ROWS, WIDTH), np.float32).astype(np.float16)
        names = [f"video{i}" for i in range(number * count, (number + 1) * count)]
        items = [(name, hashlib.sha256(name.encode()).hexdigest()) for name in names]

        def write(path: Path, key: str, items: list = items, rows: np.ndarray = rows) -> dict:
            info = writer.write(path, items=items, arrays=list(rows), times=None, spec=SPEC, key=key)
            return {"digests": [d for _, d in items], "failures": [], "content": info.content, "provenance": {}}

        store.publish_shard(items, 0, write, {})
    return store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--megabytes", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = make(Path(folder), chosen.shards, chosen.megabytes)
        files = sorted(store.folder.glob("*.h5"))

        def ours() -> None:
            (verdict,) = verify([store.folder], check_shard)
            assert (verdict.problems, verdict.shards) == ([], chosen.shards)

        def plain() -> None:
            for path in files:
                with open(path, "rb") as file:
                    hashlib.file_digest(file, "sha256")

        sides = {"verify": ours, "hashlib": plain}
        sides["sha256sum"] = lambda: subprocess.run(["sha256sum", *files], stdout=subprocess.DEVNULL, check=True)
        seconds = medians(sides, chosen.rounds)
        print(f"speed of verify over sha256sum              {seconds['sha256sum'] / seconds['verify']:.2f}")
        print(f"… over hashlib in one thread                {seconds['hashlib'] / seconds['verify']:.2f}")


if __name__ == "__main__":
    main()
