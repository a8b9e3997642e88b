"""A shard opened for reading: its structure is checked when it is opened, its digest when that is asked for."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from videocap.extract.shards import structure
from videocap.extract.shards.format import (
    ATTRIBUTES,
    DATASETS,
    FORMAT,
    FORMAT_VERSION,
    Pieces,
    content_digest,
    rows_in_piece,
)

CURE = "delete it, and the next run makes it anew; what was imported, import again"


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
        DamagedShard: if the file is not a shard as `shards.format` says.
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
        datasets = {name: structure.find_dataset(file.id, name, size) for name in DATASETS}
        types, shapes, spans = ({name: found[part] for name, found in datasets.items()} for part in (1, 2, 3))
        structure.check_spans(spans, size)  # before the attributes: HDF5 reads whatever they claim
        attributes = {name: structure.read_attribute(file.id, name.encode()) for name in ("format", *ATTRIBUTES)}
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
        self.spec = structure.parse_spec(attributes["spec"])
        self.dtype, self.row_shape = rows, shape[1:]
        self._start = spans["values"].start
        self._row_bytes = rows.itemsize * math.prod(shape[1:])
        if self._row_bytes > structure.MOST_ROW:
            raise ValueError(f"a row claims {self._row_bytes} bytes, more than {structure.MOST_ROW}")
        self._small = {name: structure.read_array(*datasets[name][:3]) for name in DATASETS if name != "values"}
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
