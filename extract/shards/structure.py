"""Where the parts of a shard lie in its file, and whether they may be read: a stranger's file may claim anything."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import h5py
import numpy as np

# A file may claim what it likes: sparse, it claims gigabytes and has kilobytes.
MOST_TABLES = 256 << 20  # bytes of ids, digests, offsets and times together, which opening reads
MOST_ROW = 256 << 20  # bytes of a row
MOST_BESIDE = 1 << 20  # bytes of the file that are of no dataset: HDF5's own, and the attributes
MOST_BRACKETS = 500  # in a spec: no deeper does it nest, or comparing it would fail


def find_dataset(
    file: h5py.h5f.FileID, name: str, size: int
) -> tuple[h5py.h5d.DatasetID, np.dtype, tuple[int, ...], range]:
    """A dataset that lies wholly and plainly in a file of that size, its type, its shape, and where its bytes lie.

    Raises ValueError or KeyError for any other. (Asked of HDF5 itself, because h5py's classes take five times as long.)
    """
    hard = file.links.get_info(name.encode()).type == h5py.h5l.TYPE_HARD
    dataset = h5py.h5o.open(file, name.encode()) if hard else None
    if not isinstance(dataset, h5py.h5d.DatasetID):
        raise ValueError(f"`{name}` is no dataset in the file itself")
    creation = dataset.get_create_plist()
    if creation.get_layout() != h5py.h5d.CONTIGUOUS or creation.get_external_count():
        raise ValueError(f"`{name}` is not stored contiguously in the file itself")
    dtype, shape = dataset.dtype, dataset.shape
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > size:
        raise ValueError(f"`{name}` claims {claimed} bytes of a file of {size}")
    if claimed and dataset.get_storage_size() != claimed:
        raise ValueError(f"`{name}` is not wholly there")
    start = dataset.get_offset() if claimed else 0  # of nothing there is none
    return dataset, dtype, shape, range(start, start + claimed)


def check_spans(spans: Mapping[str, range], size: int) -> None:
    """Raise ValueError unless the datasets lie apart, fill a file of that size, and are not too large to be read."""
    end = 0
    for name in sorted(spans, key=lambda name: (spans[name].start, spans[name].stop)):
        if spans[name].start < end:
            raise ValueError(f"`{name}` lies where another dataset does")
        end = spans[name].stop
    claimed = sum(span.stop - span.start for span in spans.values())
    tables = claimed - (spans["values"].stop - spans["values"].start)
    if tables > MOST_TABLES:
        raise ValueError(f"its ids, digests, offsets and times claim {tables} bytes, more than {MOST_TABLES}")
    if size - claimed > MOST_BESIDE:
        raise ValueError(f"it has {size - claimed} bytes that are of no dataset, more than {MOST_BESIDE}")


def parse_spec(text: str) -> dict:
    """The spec in a shard's attribute. Raises ValueError if it is none."""
    if text.count("[") + text.count("{") > MOST_BRACKETS:
        raise ValueError(f"its spec has more than {MOST_BRACKETS} brackets")
    spec = json.loads(text)
    if not isinstance(spec, dict):
        raise ValueError("its spec is no JSON object")
    return spec


def read_array(dataset: h5py.h5d.DatasetID, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    array = np.empty(shape, dtype)
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
    return array


def read_attribute(file: h5py.h5f.FileID, name: bytes) -> str | int | None:
    """A scalar attribute, or None; strings of variable length are none, see `writer.write` for why."""
    if not h5py.h5a.exists(file, name):
        return None
    attribute = h5py.h5a.open(file, name)
    dtype = attribute.dtype
    if dtype.kind not in "Siu" or attribute.shape != ():
        return None
    value = np.empty((), dtype)
    attribute.read(value)
    return value.item().decode() if dtype.kind == "S" else value.item()
