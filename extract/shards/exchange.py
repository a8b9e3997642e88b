"""Features in the formats of other code: one `.npy` file a video, or an HDF5 file with one dataset a video."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
from tqdm import tqdm

from videocap.extract.shards import writer
from videocap.extract.shards.format import DATASETS
from videocap.extract.shards.store import FeatureStore

HDF5_SUFFIXES = (".h5", ".hdf5")
LARGEST = 1 << 28  # bytes of one video's features: a file may claim any shape


def export(store: FeatureStore, place: Path) -> None:
    """Write every item's rows as float32 (rows, width), frames as uint8, under its id.

    Args:
        store: a feature store.
        place: a file that ends in `.h5` or `.hdf5`, with one dataset an id; else a folder, with one `<id>.npy` each.
            An id with `/` in it lies in groups or folders. Beside the rows is the spec: the attribute `spec`, or
            `spec.json`.

    Raises:
        ValueError: if something is there already, or an id can't be a name there; then nothing is written.
        DamagedShard: naming the shard that can't be read.
        OSError: if it can't be written; then nothing is left of it.
    """
    place = Path(place)
    if os.path.lexists(place):
        raise ValueError(f"{place} is there already: name another place")
    hdf5 = place.suffix.lower() in HDF5_SUFFIXES
    names = {name: name if hdf5 else f"{name}.npy" for name in store}
    _check_names(names)
    aside = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        (_write_hdf5 if hdf5 else _write_npy)(store, names, aside)
        os.rename(aside, place)
    except BaseException as error:
        if aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.unlink(missing_ok=True)
        if isinstance(error, OSError | RuntimeError):  # HDF5's words are many, and do not name the place
            raise OSError(f"{place} can't be written, is the disk full? {' '.join(str(error).split())}") from error
        raise


def _write_hdf5(store: FeatureStore, names: Mapping[str, str], place: Path) -> None:
    with h5py.File(place, "x") as file:
        file.attrs["spec"] = json.dumps(store.spec, sort_keys=True)
        for name in tqdm(names, "export", unit="video", disable=None):
            file[names[name]] = _plain(store[name])


def _write_npy(store: FeatureStore, names: Mapping[str, str], place: Path) -> None:
    place.mkdir()
    (place / "spec.json").write_text(json.dumps(store.spec, sort_keys=True, indent=1) + "\n", encoding="utf-8")
    for name in tqdm(names, "export", unit="video", disable=None):
        path = place / names[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, _plain(store[name]))


def _plain(rows: np.ndarray) -> np.ndarray:
    return rows if rows.dtype == np.uint8 else rows.astype(np.float32)


def _check_names(names: Mapping[str, str]) -> None:
    """Raise ValueError, naming the id, unless all these are names below one folder that do not get in their way."""
    taken = set(names.values())
    for name, inside in names.items():
        parts = inside.split("/")
        if any(part in ("", ".", "..") for part in name.split("/")):
            raise ValueError(f"the id {name!r} can't be the name of a file or dataset")
        if any(len(part.encode()) > 255 for part in parts):
            raise ValueError(f"the id {name[:40]!r} … is too long for the name of a file or dataset")
        if any("/".join(parts[:end]) in taken for end in range(1, len(parts))):
            raise ValueError(f"the id {name!r} begins with another one, and can't lie inside it")


class ForeignFeatures:
    """Features that other code wrote, by id: a folder of `.npy` files, or an HDF5 file of datasets.

    An id is a file's path inside the folder without `.npy`, or a dataset's without the first `/`.

    Raises:
        ValueError: if it is neither, or holds none.
    """

    def __init__(self, source: str | os.PathLike):
        self.source = Path(source)
        if self.source.is_dir():
            self._hdf5 = None
            if (self.source / "store.json").exists():
                raise ValueError(f"{self.source} is a store already: copy its folder to the artifacts' `stores`")
            files = sorted(
                file for file in self.source.rglob("*.npy") if not file.is_dir()
            )  # a folder may be called so
            self.ids = tuple(file.relative_to(self.source).as_posix().removesuffix(".npy") for file in files)
        elif self.source.is_file() and h5py.is_hdf5(self.source):
            self._hdf5 = h5py.File(self.source, "r", locking=False)
            if "content" in self._hdf5.attrs and set(self._hdf5) == set(DATASETS):
                raise ValueError(f"{self.source} is a shard of a store: copy the store's folder to `stores`")
            names: list[str] = []
            # follows neither soft nor external links
            self._hdf5.visititems(lambda name, one: names.append(name) if isinstance(one, h5py.Dataset) else None)
            self.ids = tuple(sorted(names))
        else:
            raise ValueError(f"{self.source} is neither a folder of .npy files nor an HDF5 file")
        if not self.ids:
            raise ValueError(f"{self.source} holds no features: no .npy file, or no dataset")

    def width(self) -> int | None:
        """How many numbers most items have in a row, by what they claim."""
        widths: Counter[int] = Counter()
        for name in self.ids:
            with suppress(ValueError):
                widths[self._claimed(name).shape[-1]] += 1
        return widths.most_common(1)[0][0] if widths else None

    def read(self, name: str) -> np.ndarray:
        """An item's rows, float16 (rows, width); a vector is one row.

        Raises:
            ValueError: if these are no features, or not to be held in float16.
        """
        rows = np.array(self._claimed(name))
        rows = rows[None] if rows.ndim == 1 else rows
        with np.errstate(over="ignore"):
            stored = rows.astype("<f2")
        if not np.isfinite(stored).all():
            raise ValueError("a feature is not finite, or too large for float16 (65,504)")
        return stored

    def _claimed(self, name: str) -> np.ndarray | h5py.Dataset:
        """An item, not read yet. Raises ValueError if it can't be features, or claims more than it should."""
        try:
            name.encode()
            found = self._in_folder(name) if self._hdf5 is None else self._in_file(name)
            dtype = found.dtype
        except Exception as error:  # a stranger's file has many ways to be wrong, and the others go on
            raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
        if dtype.kind != "f" or found.ndim not in (1, 2) or 0 in found.shape:
            raise ValueError(f"{dtype} of shape {found.shape} is no feature array: floats (rows, width) are")
        if found.nbytes > LARGEST:
            raise ValueError(f"it claims {found.nbytes} bytes; at most {LARGEST} are read of one video")
        return found

    def _in_folder(self, name: str) -> np.ndarray:
        path = self.source / f"{name}.npy"
        if not os.path.basename(name):
            raise ValueError("its file's name is all suffix")
        if not path.is_file():
            raise ValueError("it is no regular file")
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)  # believes no size without a look
        if not isinstance(mapped, np.ndarray):
            raise ValueError("it holds more than one array")
        return mapped

    def _in_file(self, name: str) -> h5py.Dataset:
        dataset = self._hdf5[name]
        if dataset.is_virtual or dataset.external:
            raise ValueError("its data lie in another file")
        if not dataset.id.get_storage_size():
            raise ValueError("its values were never written")
        return dataset


def item_digest(name: str, rows: np.ndarray) -> str:
    """What stands for the source of foreign features: sha256 of the id and the rows, float16 (rows, width)."""
    digest = hashlib.sha256(f"{name}\0{rows.shape[0]}x{rows.shape[1]}\n".encode())
    digest.update(np.ascontiguousarray(rows).data.cast("B"))
    return digest.hexdigest()


def write_shard(path: Path, key: str, spec: dict, items: Sequence[tuple[str, str]], rows: Sequence[np.ndarray]) -> dict:
    """Write a shard of foreign features, which have no times; returns what a store's manifest says of it."""
    info = writer.write(path, items=items, arrays=rows, times=None, spec=spec, key=key)
    return {"digests": [digest for _, digest in items], "failures": [], "content": info.content, "provenance": {}}


def read_items(source: ForeignFeatures, width: int, failed: list[str]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (id, digest, rows) of all good items; the others are added to `failed`, each with what is wrong.

    Args:
        source: to be read.
        width: numbers that a row must have.
        failed: filled with a line an item.
    """
    for name in tqdm(source.ids, "import", unit="video", disable=None):
        try:
            rows = source.read(name)
            if rows.shape[1] != width:
                raise ValueError(f"its rows have {rows.shape[1]} numbers, not {width}: import it under another --name")
        except (ValueError, OSError) as error:
            failed.append(f"{name}: {error}")
        else:
            yield name, item_digest(name, rows), rows
