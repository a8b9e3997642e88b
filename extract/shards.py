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
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import h5py
import numpy as np

FORMAT, FORMAT_VERSION = "clip4videocap-shard", 1
DATASETS = ("ids", "digests", "offsets", "values", "times")
DIGEST = re.compile(r"[0-9a-f]{64}")
PIECE = 1 << 20
"""Bytes, but at least a row, that checking reads at once, and up to which small items are joined to be written."""


class DamagedShard(ValueError):
    """A file that is no shard, or whose content is not what was written."""


@dataclass(frozen=True)
class Features:
    """Rows of many items in memory: item i's are `values[offsets[i]:offsets[i + 1]]`."""

    values: np.ndarray
    """float16 (rows, width), or frames, uint8 (rows, H, W, 3)."""
    offsets: np.ndarray
    """int64 (N + 1)."""
    times: np.ndarray
    """float32 (rows), seconds."""
    ids: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, item: int) -> np.ndarray:
        """Item number `item`'s rows."""
        return self.values[self.offsets[item] : self.offsets[item + 1]]


class Shard:
    """A shard opened for reading, its structure checked. Use as a context manager; not shared between processes.

    Raises:
        DamagedShard: if the file is not a shard as the table above says, or cannot be read.
        FileNotFoundError: if there is none.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        with self._damage_named():
            # A published shard never changes, and locking fails on network file systems.
            self._file = h5py.File(self.path, "r", locking=False)
        try:
            with self._damage_named():
                self._check_structure()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Shard:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def close(self) -> None:
        self._file.close()

    @property
    def values(self) -> h5py.Dataset:
        """The rows, not yet read: slice it."""
        return self._file["values"]

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row: (width,) of features, (H, W, 3) of frames."""
        return self.values.shape[1:]

    @cached_property
    def times(self) -> np.ndarray:
        """float32 (rows), seconds."""
        return self._file["times"][:]

    def read(self, item: int) -> np.ndarray:
        """Item number `item`'s rows; no digest is checked."""
        return self.values[self.offsets[item] : self.offsets[item + 1]]

    def read_all(self) -> Features:
        """Everything, its digest checked. Raises DamagedShard."""
        with self._damage_named():
            arrays = {name: self._file[name][()] for name in DATASETS}
            self._check_digest(arrays)
        return Features(arrays["values"], arrays["offsets"], arrays["times"], self.ids, self.digests)

    def check(self) -> None:
        """Recompute the content digest, in little memory. Raises DamagedShard if it is not the recorded one."""
        with self._damage_named():
            self._check_digest(self._file)

    def _check_digest(self, datasets: Mapping[str, np.ndarray | h5py.Dataset]) -> None:
        if (actual := content_digest(datasets)) != self.content:
            raise ValueError(f"its content has digest {actual[:12]}…, not {self.content[:12]}… as recorded")

    def _check_structure(self) -> None:
        """Raise ValueError unless the file holds the five datasets, plainly stored, and nothing else."""
        file = self._file
        attributes = {name: _attribute(file, name) for name in ("format", "format_version", "spec", "key", "content")}
        if attributes["format"] != FORMAT:
            raise ValueError(f"it is no feature shard: its `format` is not {FORMAT!r}")
        if absent := [name for name, value in attributes.items() if value is None]:
            raise ValueError(f"it has no attribute {', '.join(absent)}")
        if attributes["format_version"] != FORMAT_VERSION:
            raise ValueError(f"it has format version {attributes['format_version']}; {FORMAT_VERSION} is known")
        if set(file) != set(DATASETS):
            raise ValueError(f"it holds {', '.join(sorted(file))} instead of {', '.join(DATASETS)}")
        size = os.path.getsize(self.path)
        for name in DATASETS:
            if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
                raise ValueError(f"`{name}` is no dataset in the file itself")
            creation = file[name].id.get_create_plist()
            if creation.get_layout() != h5py.h5d.CONTIGUOUS or creation.get_external_count():
                raise ValueError(f"`{name}` is not stored contiguously in the file itself")
            if file[name].nbytes > size:
                raise ValueError(f"`{name}` claims {file[name].nbytes} bytes of a file of {size}")
            if file[name].nbytes and file[name].id.get_storage_size() != file[name].nbytes:
                raise ValueError(f"`{name}` is not wholly there")
        ids, digests, offsets, values, times = (file[name] for name in DATASETS)
        text = h5py.check_string_dtype(ids.dtype)
        frames = values.dtype == np.uint8 and values.ndim == 4 and values.shape[3] == 3
        if not (
            (text is not None and text.encoding == "utf-8" and text.length and ids.ndim == 1)
            and (digests.dtype == np.dtype("S64") and digests.shape == ids.shape)
            and (offsets.dtype == np.dtype("<i8") and offsets.shape == (len(ids) + 1,))
            and (frames or (values.dtype == np.dtype("<f2") and values.ndim == 2))
            and (times.dtype == np.dtype("<f4") and times.shape == values.shape[:1])
        ):
            types = "; ".join(f"{name} {file[name].dtype} {file[name].shape}" for name in DATASETS)
            raise ValueError(f"its datasets have wrong types or shapes: {types}")

        self.key, self.content = attributes["key"], attributes["content"]
        self.spec: dict = json.loads(attributes["spec"])
        self.ids = tuple(name.decode() for name in ids[:])
        self.digests = tuple(digest.decode() for digest in digests[:])
        self.offsets = offsets[:]
        if self.offsets[0] != 0 or self.offsets[-1] != len(values) or (np.diff(self.offsets) < 0).any():
            raise ValueError("its offsets do not divide its rows")
        if not all(DIGEST.fullmatch(digest) for digest in self.digests):
            raise ValueError("a digest is no sha256")

    def _damage_named(self) -> _NameDamage:
        return _NameDamage(self.path)


class _NameDamage:
    """Context that turns whatever HDF5 or a check raises about a file into DamagedShard, naming the file."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, FileNotFoundError | PermissionError | DamagedShard):
            return
        if isinstance(error, OSError | KeyError | RuntimeError | ValueError | TypeError):
            what = " ".join(str(error).split())
            raise DamagedShard(f"{self.path} is damaged ({what}); delete it, and the next run makes it anew") from error


def read(path: str | os.PathLike) -> Features:
    """Read a whole shard. Raises DamagedShard, naming the file, if its digest is not the recorded one."""
    with Shard(path) as shard:
        return shard.read_all()


def gather(paths: Sequence[str | os.PathLike], digests: Sequence[str]) -> Features:
    """Collect items from shards, in the order asked for.

    Each shard that holds any is read whole once and its digest checked. Where shards overlap, the first one counts.

    Args:
        paths: shards of one spec.
        digests: of the items' sources.

    Raises:
        KeyError: naming an item that no shard holds.
        DamagedShard: naming the file.
        ValueError: if the shards' rows have different shapes.
    """
    missing = set(digests)
    found: dict[str, tuple[str, np.ndarray, np.ndarray]] = {}
    rows: dict[tuple, os.PathLike | str] = {}
    empty = np.empty((0, 0), np.float16)
    for path in paths:
        with Shard(path) as shard:
            if len(shard) == 0:
                continue
            rows.setdefault((shard.values.dtype.str, shard.row_shape), path)
            if len(rows) > 1:
                (first, a), (second, b) = rows.items()
                raise ValueError(f"shards of different rows cannot be joined: {first} in {a}, {second} in {b}")
            empty = np.empty((0, *shard.row_shape), shard.values.dtype)
            if missing.isdisjoint(shard.digests):
                continue
            whole = shard.read_all()
        for item, digest in enumerate(whole.digests):
            if digest in missing:
                missing.remove(digest)
                span = slice(whole.offsets[item], whole.offsets[item + 1])
                found[digest] = whole.ids[item], whole.values[span], whole.times[span]
    if missing:
        raise KeyError(f"{len(missing)} of {len(set(digests))} items are in no shard, among them {min(missing)}")
    wanted = [found[digest] for digest in digests]
    return Features(
        np.concatenate([values for _, values, _ in wanted] or [empty]),
        np.cumsum([0, *(len(values) for _, values, _ in wanted)], dtype=np.int64),
        np.concatenate([times for _, _, times in wanted] or [np.empty(0, np.float32)]),
        tuple(name for name, _, _ in wanted),
        tuple(digests),
    )


class Pieces(Protocol):
    """Rows that are had some at a time."""

    dtype: np.dtype
    shape: tuple[int, ...]

    def pieces(self) -> Iterator[np.ndarray]:
        """Yield all rows in order."""


def content_digest(datasets: Mapping[str, np.ndarray | h5py.Dataset | Pieces]) -> str:
    """sha256 of a shard's datasets, as the module's docstring defines it."""
    digest = hashlib.sha256()
    for name in DATASETS:
        data = datasets[name]
        digest.update(f"{name} {data.dtype.str} {'x'.join(map(str, data.shape))}\n".encode("ascii"))
        for piece in pieces(data):
            digest.update(np.ascontiguousarray(piece).reshape(-1).view(np.uint8))
    return digest.hexdigest()


def pieces(data: np.ndarray | h5py.Dataset | Pieces) -> Iterator[np.ndarray]:
    """Yield all rows in order, some at a time. What is read of a file is overwritten by the next piece."""
    if 0 in data.shape:
        return
    if isinstance(data, np.ndarray):
        yield data
    elif not isinstance(data, h5py.Dataset):
        yield from data.pieces()
    else:
        buffer = np.empty((rows_in_piece(data), *data.shape[1:]), data.dtype)
        for start in range(0, len(data), len(buffer)):
            piece = buffer[: len(data) - start]
            data.read_direct(piece, np.s_[start : start + len(piece)])
            yield piece


def rows_in_piece(data: h5py.Dataset | Pieces) -> int:
    """How many rows are read or written at once."""
    return max(1, PIECE // max(1, math.prod(data.shape[1:]) * data.dtype.itemsize))


def _attribute(file: h5py.File, name: str) -> str | int | None:
    """A scalar attribute, or None; strings of variable length are none, see `shard_writer.write` for why."""
    if name not in file.attrs:
        return None
    attribute = file.attrs.get_id(name)
    if attribute.shape != () or attribute.dtype.kind not in "Siu":
        return None
    value = file.attrs[name]
    return value.decode() if isinstance(value, bytes) else int(value)
