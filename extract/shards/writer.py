"""Writes feature shards; what they are is said in `extract.shards.format`."""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import h5py
import numpy as np

from videocap.extract.shards.format import DIGEST, FORMAT, FORMAT_VERSION, content_digest, pieces, rows_in_piece
from videocap.extract.shards.shard import DamagedShard, Shard


@dataclass(frozen=True)
class ShardInfo:
    """What a manifest records of a shard."""

    content: str
    """sha256 of the datasets, hexadecimal."""
    items: int
    rows: int
    width: int
    """Length of a feature row; of frames: their width in pixels."""


def write(
    path: str | os.PathLike,
    *,
    items: Sequence[tuple[str, str]],
    arrays: Sequence[np.ndarray],
    times: Sequence[np.ndarray] | None,
    spec: dict,
    key: str,
) -> ShardInfo:
    """Write a shard, reopen and check it, and flush it to disk. The same arguments give the same bytes.

    It takes little memory beside the arrays.

    Args:
        path: a file that does not exist yet; it is removed again if anything fails.
        items: (id, sha256 of the source) of each item.
        arrays: each item's rows: features of any float type, (n, width), stored as float16; or frames,
            uint8 (n, H, W, 3). There may be no items, or items of no rows.
        times: seconds of each item's rows, (n,); None where there is no time.
        spec: the recipe, stored as JSON.
        key: of the artifact.

    Raises:
        ValueError: for rows of different shapes, features that float16 cannot hold, or an id with a NUL in it.
        FileExistsError: if the file exists.
        OSError: if it can't be written.
    """
    content = _datasets(items, arrays, times)
    digest = content_digest(content)
    # This generation of HDF5 checksums its own structures, and its files are the same bytes whenever written.
    new = h5py.File(path, "x", libver=("v110", "v110"))
    try:
        with new as file:
            texts = {"format": FORMAT, "spec": json.dumps(spec, sort_keys=True), "key": key, "content": digest}
            # Of fixed length: strings of variable length lie where no checksum covers them, and crash HDF5 if damaged.
            file.attrs.update({name: np.bytes_(text) for name, text in texts.items()})
            file.attrs["format_version"] = FORMAT_VERSION
            for name, data in content.items():
                dataset = file.create_dataset(name, data.shape, data.dtype)
                start = 0
                for piece in pieces(data):
                    dataset[start : start + len(piece)] = piece
                    start += len(piece)
        with Shard(path) as shard:
            shard.check()
            if shard.content != digest:
                raise DamagedShard(f"{path}: what was read back is not what was written")
        with open(path, "rb") as file:
            os.fsync(file.fileno())
    except BaseException as error:
        os.unlink(path)
        if isinstance(error, RuntimeError):  # how HDF5 fails to close a file whose disk is full
            raise OSError(f"{path} can't be written, is the disk full? {error}") from error
        raise
    values = content["values"]
    return ShardInfo(digest, len(items), values.shape[0], values.shape[-1 if len(values.shape) == 2 else 2])


def _datasets(items, arrays, times) -> dict[str, np.ndarray | _Values]:
    """What a shard's datasets hold; see `write`."""
    if times is None:
        times = [np.zeros(len(array)) for array in arrays]
    if not len(items) == len(arrays) == len(times):
        raise ValueError(f"{len(items)} items, {len(arrays)} arrays and {len(times)} times do not go together")
    ids = [name.encode() for name, _ in items]
    for (name, digest), array, seconds in zip(items, arrays, times, strict=True):
        if "\0" in name:
            raise ValueError(f"the id {name!r} holds a NUL")
        if not DIGEST.fullmatch(digest):
            raise ValueError(f"{name}: {digest!r} is no sha256")
        if array.shape[1:] != arrays[0].shape[1:] or array.dtype != arrays[0].dtype:
            other = f"{arrays[0].dtype} {arrays[0].shape[1:]}"
            raise ValueError(f"{name}: rows of {array.dtype} {array.shape[1:]} beside {other}")
        if len(array) != len(seconds):
            raise ValueError(f"{name}: {len(array)} rows with {len(seconds)} times")
    values = _Values([name for name, _ in items], arrays)
    return {
        "ids": np.array(ids, h5py.string_dtype("utf-8", max([1, *map(len, ids)]))),
        "digests": np.array([digest.encode() for _, digest in items], "S64"),
        "offsets": values.offsets,
        "values": values,
        "times": np.concatenate([np.empty(0), *times]).astype("<f4"),
    }


class _Values:
    """The rows of all items, as they are stored, without a copy of them all."""

    def __init__(self, names: Sequence[str], arrays: Sequence[np.ndarray]):
        self.names, self.arrays = names, arrays
        first = arrays[0] if len(arrays) else np.empty((0, 0), np.float16)
        self.dtype = first.dtype if first.dtype == np.uint8 else np.dtype("<f2")
        self.offsets = np.cumsum([0, *map(len, arrays)], dtype="<i8")
        self.shape = (int(self.offsets[-1]), *first.shape[1:])

    def pieces(self) -> Iterator[np.ndarray]:
        """Yield all rows in order. Raises ValueError, naming the item, where float16 cannot hold a feature."""
        # A call of HDF5 costs more than the bytes of a small item do: items that begin within one PIECE are joined.
        begins = (self.offsets[:-1] // rows_in_piece(self)).tolist()
        for _, items in groupby(range(len(begins)), begins.__getitem__):
            first, *others = items
            rows = self.arrays[first]
            if others:
                rows = np.concatenate([rows, *(self.arrays[other] for other in others)])
            if self.dtype != np.uint8:
                with np.errstate(over="ignore"):
                    rows = rows.astype(self.dtype, copy=False)
                wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
                if len(wrong):
                    item = np.searchsorted(self.offsets, self.offsets[first] + wrong[0], side="right") - 1
                    raise ValueError(
                        f"{self.names[item]}: a feature is not finite, or too large for float16: are the encoder's "
                        "weights whole? If they are, compute with encoder.precision fp32"
                    )
            yield rows
            if isinstance(rows.base, mmap.mmap) and rows.mode == "r":  # else what was read would stay in memory
                rows.base.madvise(mmap.MADV_DONTNEED)
