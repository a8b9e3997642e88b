"""A feature store for reading: a mapping from item id to rows, safe in forked and in spawned workers."""

from __future__ import annotations

import json
import os
import resource
import stat
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from videocap.extract.shards.format import DIGEST
from videocap.extract.shards.shard import DamagedShard, Features, Shard

FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[0]  # that the system allows a process; negative: any number
MOST_OPEN = FILES // 4 if FILES > 0 else 1000
"""Shards held open at once."""
MOST_THREADS = 4
"""Threads that read shards into memory: each holds one."""
MOST_JSON = 32 << 20
"""Bytes of a manifest: one of 33,000 captions has 7 MB, and in memory JSON takes up to twenty times as much."""


class FeatureStore(Mapping[str, np.ndarray]):
    """The rows of a store's items by id: `store["video7010"]` is float16 (rows, width), see `shards.format`.

    Where an id has several sources (a video was replaced), the one extracted last counts. Videos that are the same
    byte by byte are stored once, under one of their ids. A shard is opened by its path when an item of it is first
    read, and read without moving a file position, so that processes forked from this one share nothing that changes.
    Pickled, a store is its path. Threads may share it.

    A read checks the shard's structure, not its digest: `load` does.

    Args:
        path: a store's folder, or a single shard.

    Attributes:
        spec: the recipe of all its features.
        digests: sha256 of each item's source, by id.
        superseded: how many (id, source) there are that do not count, because a newer source of the id does.

    Raises:
        ValueError: if there is no store.
        DamagedShard: naming the file, there or when an item is read.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path).absolute()
        self.spec, shards = _of_folder(self.path) if self.path.is_dir() else _of_file(self.path)
        newest: dict[str, tuple[float, str]] = {}
        for shard in shards:
            for name, digest in zip(shard.ids, shard.digests, strict=True):
                newest[name] = max(newest.get(name, (0.0, "")), (shard.created, digest))
        self.digests = {name: digest for name, (_, digest) in sorted(newest.items())}
        self._places: dict[str, tuple[_Listed, int]] = {}
        others: set[tuple[str, str]] = set()
        for shard in shards:
            for item, (name, digest) in enumerate(zip(shard.ids, shard.digests, strict=True)):
                if digest == self.digests[name]:
                    self._places.setdefault(name, (shard, item))
                else:
                    others.add((name, digest))
        self.superseded = len(others)
        self._shards: dict[Path, Shard] = {}
        self._first: Shard | None = None  # all others have rows as this one
        self._open: OrderedDict[Path, Shard] = OrderedDict()  # the first is the one not read for longest

    def __len__(self) -> int:
        return len(self.digests)

    def __iter__(self) -> Iterator[str]:
        return iter(self.digests)

    def __contains__(self, name: object) -> bool:
        return name in self.digests

    def __getitem__(self, name: str) -> np.ndarray:
        shard, item = self._find(name)
        with _gone_named():
            return shard.read(item)

    def __repr__(self) -> str:
        return f"<FeatureStore {self.path}: {len(self)} items>"

    def __reduce__(self) -> tuple:
        return FeatureStore, (self.path,)

    def times(self, name: str) -> np.ndarray:
        """Seconds of an item's rows from the first frame, float32 (rows); 0 for what has no time."""
        shard, item = self._find(name)
        return shard.times[shard.offsets[item] : shard.offsets[item + 1]].copy()

    def provenance(self, name: str) -> dict:
        """How and by whom an item's rows were made, as its shard's manifest says."""
        return self._places[name][0].provenance

    def load(self, names: Iterable[str] | None = None) -> Features:
        """Items in memory, in the order asked for; by default all, by id. Digests are checked. Raises DamagedShard."""
        places = [self._places[name] for name in (self if names is None else names)]
        found = [(self._shard(listed), item) for listed, item in places]
        with _gone_named():
            return _collect(found, found[0][0] if found else None)

    def _find(self, name: str) -> tuple[Shard, int]:
        """The shard that holds an item, opened, and the item's number in it."""
        listed, item = self._places[name]
        shard = self._shard(listed)
        self._open.pop(listed.path, None)
        self._open[listed.path] = shard
        while len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        return shard, item

    def _shard(self, listed: _Listed) -> Shard:
        """A shard, which was found to be what its manifest says."""
        if listed.path in self._shards:
            return self._shards[listed.path]
        with _gone_named():
            shard = Shard(listed.path)
        if (shard.ids, shard.digests, shard.spec) != (listed.ids, listed.digests, self.spec):
            raise DamagedShard(f"{listed.path} holds other items than its manifest says, or of another spec")
        self._first = self._first or shard
        _check_rows(self._first, shard)
        return self._shards.setdefault(listed.path, shard)


@contextmanager
def _gone_named() -> Iterator[None]:
    """What was there when the store was opened, and is not any more, is a DamagedShard."""
    try:
        yield
    except FileNotFoundError as error:
        raise DamagedShard(f"{error.filename} is gone; open the store anew") from None


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
    places: dict[str, tuple[Shard, int]] = {}
    first, wanted = None, set(digests)
    for path in paths:
        with Shard(path) as shard:
            if len(shard) == 0:
                continue
        first = first or shard
        _check_rows(first, shard)
        for item, digest in enumerate(shard.digests):
            if digest in wanted:
                places.setdefault(digest, (shard, item))
    if missing := wanted - places.keys():
        raise KeyError(f"{len(missing)} of {len(wanted)} items are in no shard, among them {min(missing)}")
    return _collect([places[digest] for digest in digests], first)


def _check_rows(a: Shard, b: Shard) -> None:
    """Raise ValueError unless two shards have rows of one kind."""
    kinds = [f"{shard.dtype} {shard.row_shape}" for shard in (a, b)]
    if kinds[0] != kinds[1]:
        raise ValueError(f"shards of different rows cannot be joined: {kinds[0]} in {a.path}, {kinds[1]} in {b.path}")


def _collect(places: Sequence[tuple[Shard, int]], like: Shard | None) -> Features:
    """Read items (a shard, and the number in it) into memory; each shard is read whole and checked.

    `like` is a shard with rows as all have, if there is any.
    """
    sizes = [int(shard.offsets[item + 1] - shard.offsets[item]) for shard, item in places]
    offsets = np.cumsum([0, *sizes], dtype=np.int64)
    row_shape, dtype = (like.row_shape, like.dtype) if like else ((0,), np.dtype(np.float16))
    values, times = np.empty((offsets[-1], *row_shape), dtype), np.empty(offsets[-1], np.float32)
    of_shard: dict[Path, list[int]] = {}
    for place, (shard, _) in enumerate(places):
        of_shard.setdefault(shard.path, []).append(place)

    def fill(mine: list[int]) -> None:
        with places[mine[0]][0] as shard:
            whole = shard.read_all()
        for place in mine:
            rows, item = np.s_[offsets[place] : offsets[place + 1]], places[place][1]
            values[rows] = whole[item]
            times[rows] = whole.times[whole.offsets[item] : whole.offsets[item + 1]]

    # reading and sha256 leave Python to other threads
    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as threads:
        list(threads.map(fill, of_shard.values()))
    ids = tuple(shard.ids[item] for shard, item in places)
    return Features(values, offsets, times, ids, tuple(shard.digests[item] for shard, item in places))


@dataclass(frozen=True)
class _Listed:
    """A shard as its manifest tells of it."""

    path: Path
    ids: tuple[str, ...]
    digests: tuple[str, ...]
    created: float = 0.0
    provenance: dict = field(default_factory=dict)


def _of_file(path: Path) -> tuple[dict, list[_Listed]]:
    try:
        with Shard(path) as shard:
            return shard.spec, [_Listed(path, shard.ids, shard.digests)]
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such store or shard") from None


def _of_folder(folder: Path) -> tuple[dict, list[_Listed]]:
    about = _json(folder / "store.json")
    if not isinstance(about, dict) or not isinstance(about.get("spec"), dict):
        inside = sorted(path.name for path in (folder / "stores").glob("*"))
        hint = f"; in {folder / 'stores'} are {', '.join(inside)}" if inside else ""
        raise ValueError(f"{folder} is no feature store, it has no store.json that tells its spec{hint}")
    names = set(os.listdir(folder))
    found = []
    for name in sorted(names):  # where shards overlap, the smallest key counts
        if name.endswith(".json") and name != "store.json" and not name.startswith("."):
            manifest = _json(folder / name)
            if not _names_its_payload(manifest, name):
                warnings.warn(f"{folder / name} is no manifest, and is left out: videocap store verify", stacklevel=4)
            elif manifest["payload"] in names:
                found.append(_listed(folder / manifest["payload"], manifest))
    return about["spec"], found


def _listed(path: Path, manifest: dict) -> _Listed:
    digests = tuple(manifest["digests"])
    ids = manifest.get("ids")
    if ids is None:  # the first manifests had none
        with Shard(path) as shard:
            ids = shard.ids
    if len(ids) != len(digests):
        raise DamagedShard(f"{path} holds {len(ids)} items, and its manifest names {len(digests)}")
    return _Listed(path, tuple(ids), digests, manifest["created"], manifest["provenance"])


def _names_its_payload(manifest: object, name: str) -> bool:
    """Whether a file of this name is a shard's manifest, and its payload beside it: nothing else is believed."""
    return (
        isinstance(manifest, dict)
        and all(isinstance(manifest.get(text), str) for text in ("key", "payload"))
        and name == f"{manifest['key']}.json"
        and DIGEST.fullmatch(manifest["key"]) is not None
        and manifest["payload"].startswith(f"{manifest['key']}-")
        and manifest["payload"].endswith(".h5")
        and isinstance(manifest.get("created"), int | float)
        and 0 <= manifest["created"] < 1e11
        and isinstance(manifest.get("provenance"), dict)
        and _texts(manifest.get("digests"))
        and ("ids" not in manifest or _texts(manifest["ids"]))
    )


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _json(path: Path) -> object:
    try:
        found = os.lstat(path)
        # a stranger's folder may hold what is waited for without end, and links out of it
        plain = stat.S_ISREG(found.st_mode) and found.st_size <= MOST_JSON
        return json.loads(path.read_bytes()) if plain else None
    except (FileNotFoundError, ValueError, RecursionError):
        return None
