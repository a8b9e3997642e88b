"""Shards of random rows."""

import hashlib

import numpy as np

from videocap.extract.shards.writer import write

SPEC = {"encoder": "ViT-B/16", "frames": 20}


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def some_items(ids):
    return [(name, sha(name)) for name in ids]


def some_rows(sizes, width=8, seed=0, dtype=np.float16):
    rng = np.random.default_rng(seed)
    if dtype == np.uint8:
        return [rng.integers(0, 256, (size, width, width, 3), np.uint8) for size in sizes]
    return [rng.normal(size=(size, width)).astype(dtype) for size in sizes]


def write_some(path, names="abc", seed=0, width=8):
    arrays = some_rows(range(1, len(names) + 1), width, seed)
    return arrays, write(path, items=some_items(names), arrays=arrays, times=None, spec=SPEC, key="k")
