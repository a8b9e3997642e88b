"""Feature shards: one immutable HDF5 file of packed rows, readable with plain h5py, checked by digest.

| dataset | type | content |
|---|---|---|
| `ids`, `digests` | fixed-length UTF-8, S64 | item id; sha256 of its source |
| `offsets` | int64 (N+1) | rows of item i are `values[offsets[i]:offsets[i+1]]` |
| `values` | float16 (rows, width); frames: uint8 (rows, H, W, 3) | contiguous, no filters |
| `times` | float32 (rows) | seconds from the first frame; 0 for what has no time |

The file's attributes are `format`, `format_version` (a number), `spec` (JSON), `key` and `content`; strings are ASCII
of fixed length, given as bytes by h5py. `content` is the sha256 of, for each dataset in the order `ids`, `digests`,
`offsets`, `values`, `times`, the ASCII line `<name> <numpy type string> <dimensions joined by x>\\n` (as
`values <f2 2560x512`) followed by the elements' bytes in C order, little-endian, strings padded with NUL.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np

FORMAT, FORMAT_VERSION = "clip4videocap-shard", 1
DATASETS = ("ids", "digests", "offsets", "values", "times")
ATTRIBUTES = {"format_version": int, "spec": str, "key": str, "content": str}  # beside `format`
DIGEST = re.compile(r"[0-9a-f]{64}")
PIECE = 1 << 20
"""Bytes, but at least a row, that checking reads at once, and up to which small items are joined to be written."""


class Pieces(Protocol):
    """Rows that are had some at a time."""

    dtype: np.dtype
    shape: tuple[int, ...]

    def pieces(self) -> Iterator[np.ndarray]:
        """Yield all rows in order, some at a time."""


def content_digest(datasets: Mapping[str, np.ndarray | Pieces]) -> str:
    """sha256 of a shard's datasets, as the module's docstring defines it."""
    digest = hashlib.sha256()
    for name in DATASETS:
        data = datasets[name]
        digest.update(f"{name} {data.dtype.str} {'x'.join(map(str, data.shape))}\n".encode("ascii"))
        for piece in pieces(data):
            digest.update(np.ascontiguousarray(piece).reshape(-1).view(np.uint8))
    return digest.hexdigest()


def pieces(data: np.ndarray | Pieces) -> Iterator[np.ndarray]:
    """Yield all rows in order, some at a time."""
    if 0 not in data.shape:
        yield from [data] if isinstance(data, np.ndarray) else data.pieces()


def rows_in_piece(data: Pieces) -> int:
    """How many rows are read or written at once."""
    return max(1, PIECE // max(1, math.prod(data.shape[1:]) * data.dtype.itemsize))
