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
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import h5py
import numpy as np

FORMAT, FORMAT_VERSION = "clip4videocap-shard", 1
DATASETS = ("ids", "digests", "offsets", "values", "times")
ATTRIBUTES = {"format_version": int, "spec": str, "key": str, "content": str}  # beside `format`
DIGEST = re.compile(r"[0-9a-f]{64}")
CURE = "delete it, and the next run makes it anew; what was imported, import again"
PIECE = 1 << 20
"""Bytes, but at least a row, that checking reads at once, and up to which small items are joined to be written."""
# A file may claim what it likes: sparse, it claims gigabytes and has kilobytes.
MOST_TABLES = 256 << 20  # bytes of ids, digests, offsets and times together, which opening reads
MOST_ROW = 256 << 20  # bytes of a row
MOST_BESIDE = 1 << 20  # bytes of the file that are of no dataset: HDF5's own, and the attributes
MOST_BRACKETS = 500  # in a spec: no deeper does it nest, or comparing it would fail


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
    """A shard opened for reading, its structure checked. Use as a context manager, or let it go.

    HDF5 only tells where the rows lie. They are read from there, at given places and without a file position, so that
    forked processes and threads may share a shard, which is wrong for an open HDF5 file.

    Attributes:
        key, content, spec: the attributes of the file.
        ids, digests: of the items.
        offsets, times: the datasets.
        row_shape: of one row: (width,) of features, (H, W, 3) of frames.
        dtype: of the rows: float16 of features, uint8 of frames.

    Raises:
        DamagedShard: if the file is not a shard as the table above says.
        OSError: if there is none, or the system can't open it.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path).absolute()
        self._file: _File | None = None
        with _NameDamage(self.path):
            found = os.lstat(self.path)
            if stat.S_ISLNK(found.st_mode):
                raise ValueError("it is a symbolic link, and none is followed out of a store")
            if not stat.S_ISREG(found.st_mode):
                raise ValueError("it is no regular file")
            # A published shard never changes, and locking fails on network file systems.
            with h5py.File(self.path, "r", locking=False) as file:
                self._read_structure(file, found.st_size)

    def __enter__(self) -> Shard:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def close(self) -> None:
        """Let go of the file, when the threads that read it now are done; the next read opens it again."""
        self._file = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all rows together."""
        return int(self.offsets[-1]), *self.row_shape

    def read(self, item: int) -> np.ndarray:
        """Item number `item`'s rows; no digest is checked. Raises DamagedShard if they are not there."""
        first, end = self._bounds[item], self._bounds[item + 1]
        rows = np.empty((end - first, *self.row_shape), self.dtype)
        self._read_into(rows, first)
        return rows

    def read_all(self) -> Features:
        """Everything, its digest checked. Raises DamagedShard."""
        values = np.empty(self.shape, self.dtype)
        self._read_into(values, 0)
        self._check_digest(values)
        return Features(values, self.offsets, self.times, self.ids, self.digests)

    def check(self) -> None:
        """Recompute the content digest, in little memory. Raises DamagedShard if it is not the recorded one."""
        self._check_digest(self)

    def pieces(self) -> Iterator[np.ndarray]:
        """Yield all rows in order, some at a time, in an array that the next ones overwrite."""
        buffer = np.empty((min(rows_in_piece(self), self.shape[0]), *self.row_shape), self.dtype)
        for start in range(0, self.shape[0], max(1, len(buffer))):
            piece = buffer[: self.shape[0] - start]
            self._read_into(piece, start)
            yield piece

    def _read_into(self, rows: np.ndarray, first: int) -> None:
        """Fill an array with rows from number `first` on."""
        file = self._file = self._file or _File(self.path)
        done, size, place = 0, rows.nbytes, self._start + first * self._row_bytes
        while done < size:
            wanted = rows.reshape(-1).view(np.uint8)[done:] if done else rows
            try:
                count = os.preadv(file.number, [wanted], place + done)
            except OSError as error:  # which does not say of which file
                raise OSError(error.errno, error.strerror, str(self.path)) from error
            if count == 0:
                raise DamagedShard(f"{self.path} is damaged (it is cut short); {CURE}")
            done += count

    def _check_digest(self, values: np.ndarray | Pieces) -> None:
        actual = content_digest(self._small | {"values": values})
        with _NameDamage(self.path):
            if actual != self.content:
                raise ValueError(f"its content has digest {actual[:12]}…, not {self.content[:12]}… as recorded")

    def _read_structure(self, file: h5py.File, size: int) -> None:
        """Raise ValueError unless a file of that size holds the five datasets, plainly stored, and nothing else."""
        if file.userblock_size:
            raise ValueError("something else comes before its content")
        if len(file) != len(DATASETS) or not all(file.id.links.exists(name.encode()) for name in DATASETS):
            raise ValueError(f"it is no feature shard: it holds something else than {', '.join(DATASETS)}")
        datasets = {name: _dataset(file.id, name, size) for name in DATASETS}
        types, shapes, spans = ({name: found[part] for name, found in datasets.items()} for part in (1, 2, 3))
        _check_spans(spans, size)  # before the attributes: HDF5 reads whatever they claim
        attributes = {name: _attribute(file.id, name.encode()) for name in ("format", *ATTRIBUTES)}
        if attributes["format"] != FORMAT:
            raise ValueError(f"it is no feature shard: its `format` is not {FORMAT!r}")
        if wrong := [name for name, kind in ATTRIBUTES.items() if type(attributes[name]) is not kind]:
            raise ValueError(f"it has no attribute {', '.join(wrong)}")
        if attributes["format_version"] != FORMAT_VERSION:
            raise ValueError(f"it has format version {attributes['format_version']}; {FORMAT_VERSION} is known")
        text, rows, shape = h5py.check_string_dtype(types["ids"]), types["values"], shapes["values"]
        frames = rows == np.uint8 and len(shape) == 4 and shape[3] == 3
        if not (
            (text is not None and text.encoding == "utf-8" and text.length and len(shapes["ids"]) == 1)
            and (types["digests"] == np.dtype("S64") and shapes["digests"] == shapes["ids"])
            and (types["offsets"] == np.dtype("<i8") and shapes["offsets"] == (shapes["ids"][0] + 1,))
            and (frames or (rows == np.dtype("<f2") and len(shape) == 2))
            and (types["times"] == np.dtype("<f4") and shapes["times"] == shape[:1])
        ):
            found = "; ".join(f"{name} {types[name]} {shapes[name]}" for name in DATASETS)
            raise ValueError(f"its datasets have wrong types or shapes: {found}")

        self.key, self.content = attributes["key"], attributes["content"]
        self.spec = _spec(attributes["spec"])
        self.dtype, self.row_shape = rows, shape[1:]
        self._start = spans["values"].start
        self._row_bytes = rows.itemsize * math.prod(shape[1:])
        if self._row_bytes > MOST_ROW:
            raise ValueError(f"a row claims {self._row_bytes} bytes, more than {MOST_ROW}")
        self._small = {name: _read(*datasets[name][:3]) for name in DATASETS if name != "values"}
        self.offsets, self.times = self._small["offsets"], self._small["times"]
        self._bounds: list[int] = self.offsets.tolist()
        self.ids = tuple(name.decode() for name in self._small["ids"].tolist())
        self.digests = tuple(digest.decode() for digest in self._small["digests"].tolist())
        if self.offsets[0] != 0 or self.offsets[-1] != shape[0] or (np.diff(self.offsets) < 0).any():
            raise ValueError("its offsets do not divide its rows")
        if self._small["digests"].tobytes().strip(b"0123456789abcdef"):
            raise ValueError("a digest is no sha256")
        if "\0" in "".join(self.ids):
            raise ValueError("an id holds a NUL")


def _dataset(
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


def _check_spans(spans: Mapping[str, range], size: int) -> None:
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


def _spec(text: str) -> dict:
    """The spec in a shard's attribute. Raises ValueError if it is none."""
    if text.count("[") + text.count("{") > MOST_BRACKETS:
        raise ValueError(f"its spec has more than {MOST_BRACKETS} brackets")
    spec = json.loads(text)
    if not isinstance(spec, dict):
        raise ValueError("its spec is no JSON object")
    return spec


def _read(dataset: h5py.h5d.DatasetID, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    array = np.empty(shape, dtype)
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
    return array


class _File:
    """An open file. It closes itself when nobody reads it any more: never under another thread's feet."""

    number = -1

    def __init__(self, path: Path):
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if self.number >= 0:
            os.close(self.number)


class _NameDamage:
    """Context that turns whatever HDF5 or a check raises about a file into DamagedShard, naming the file.

    What the system says (it is not there, too many files are open) is no damage, and passes.
    """

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, DamagedShard) or getattr(error, "errno", None):
            return
        if isinstance(error, OSError | KeyError | RuntimeError | ValueError | TypeError):
            what = " ".join(str(error).split())
            raise DamagedShard(f"{self.path} is damaged ({what}); {CURE}") from error


def read(path: str | os.PathLike) -> Features:
    """Read a whole shard. Raises DamagedShard, naming the file, if its digest is not the recorded one."""
    with Shard(path) as shard:
        return shard.read_all()


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


def _attribute(file: h5py.h5f.FileID, name: bytes) -> str | int | None:
    """A scalar attribute, or None; strings of variable length are none, see `shard_writer.write` for why."""
    if not h5py.h5a.exists(file, name):
        return None
    attribute = h5py.h5a.open(file, name)
    dtype = attribute.dtype
    if dtype.kind not in "Siu" or attribute.shape != ():
        return None
    value = np.empty((), dtype)
    attribute.read(value)
    return value.item().decode() if dtype.kind == "S" else value.item()
