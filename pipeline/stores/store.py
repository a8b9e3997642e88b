"""Stores: a folder of immutable shards of one spec. Computing is by item, storing is by shard.

An item is (id, digest of its source). A shard is `<key>-<unique>.h5` beside its manifest `<key>.json`, which
lists the items' ids and digests, so that scheduling opens no HDF5 file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videocap.pipeline.artifacts import publish
from videocap.pipeline.artifacts.shapes import LATEST, is_plain, is_recipe, is_shard_manifest
from videocap.pipeline.digests import digest, file_digest

Item = tuple[str, str]


@dataclass
class Index:
    """What a store holds: the shard of each item's digest, and the recorded failures."""

    rows: dict[str, Path] = field(default_factory=dict)
    failures: dict[str, dict] = field(default_factory=dict)
    codes: set[str | None] = field(default_factory=set)
    """Digests of the code that made the shards."""
    size: int = 0
    """Bytes of all shards."""

    def settled(self, source: str, retry: int) -> bool:
        """Whether an item has its rows, or failed at this retry number or a later one."""
        return source in self.rows or self.failures.get(source, {}).get("retry", -1) >= retry

    def lacking(self, items: Iterable[Item], retry: int) -> list[Item]:
        """Those of some items that are not settled."""
        return [item for item in items if not self.settled(item[1], retry)]


class Store:
    """A folder of shards of one spec. Copying the folder copies the store; the union of two is a store."""

    def __init__(self, folder: Path, spec: dict):
        self.folder = Path(folder)
        self.spec = spec
        self.spec_digest = digest(spec)
        self._known: dict[str, dict] = {}
        self._names: set[str] | None = None
        self._index = Index()

    @classmethod
    def open(cls, folder: Path) -> Store | None:
        """The store in a folder, or None if the folder does not say of what spec."""
        about = publish.read_json(folder / "store.json", publish.MOST_MANIFEST)
        spec = about.get("spec") if isinstance(about, dict) else None
        return cls(folder, spec) if is_recipe(spec) and is_plain(spec) else None

    def about_spec(self) -> dict[str, Any]:
        """What `store.json` says."""
        return {"format": "clip4videocap-store", "spec": self.spec}

    def manifests(self) -> dict[str, dict]:
        """The manifests of all shards, by their file's name."""
        self.index()
        return {name: self._known[name] for name in sorted(self._known.keys() & self._names)}

    def newest(self) -> dict | None:
        """The manifest of the shard that was made last."""
        return max(self.manifests().values(), key=lambda manifest: manifest["created"], default=None)

    def about(self) -> dict[str, Any]:
        """What the manifests say: {"spec", "shards", "items", "failures", "size" in bytes, "made": […]}.

        "made" has an entry for all shards that were made by the same: {"experiment", "host", "computed" (device and
        precision), "ffmpeg", "versions" (of packages), "source" (of an import), "shards", "first" and "last" (seconds
        since 1970)}.
        """
        index, made = self.index(), {}
        shards = [manifest for manifest in self.manifests().values() if manifest["payload"] in self._names]
        for manifest in sorted(shards, key=lambda manifest: manifest["created"]):
            names = ("experiment", "host", "computed", "ffmpeg", "versions", "source")
            by = {name: manifest["provenance"].get(name) for name in names}
            entry = made.setdefault(repr(by), by | {"shards": 0, "first": manifest["created"]})
            entry |= {"shards": entry["shards"] + 1, "last": manifest["created"]}
        failures = len(index.failures.keys() - index.rows.keys())
        held = {"shards": len(shards), "items": len(index.rows), "failures": failures, "size": index.size}
        return {"spec": self.spec, **held, "made": list(made.values())}

    def files(self, chosen: Callable[[dict], bool] = lambda manifest: True) -> list[Path]:
        """The files of the shards whose manifest is `chosen`, in the order to delete them: a manifest first."""
        shards = {name: manifest for name, manifest in self.manifests().items() if chosen(manifest)}
        return [self.folder / name for one in shards.items() for name in (one[0], one[1]["payload"])]

    def strays(self) -> tuple[list[str], list[str]]:
        """Names of JSON files that are no manifests of the spec's shards, and of shards that no manifest names."""
        manifests, names = self.manifests(), sorted(self._names)
        named = {manifest["payload"] for manifest in manifests.values()}
        others = [name for name in names if may_be_manifest(name) and name not in manifests]
        return others, [name for name in names if name.endswith(".h5") and name not in named]

    def names(self) -> set[str]:
        """The names of all files in the folder."""
        return set(os.listdir(self.folder)) if self.folder.is_dir() else set()

    def signature(self) -> list:
        """What changes with the shards that are there: the names of all, and the sizes of manifests."""
        if not self.folder.is_dir():
            return []
        with os.scandir(self.folder) as found:
            shards = [entry for entry in found if entry.name.endswith((".h5", ".json"))]
            return sorted(
                [entry.name, entry.name.endswith(".json") and entry.stat(follow_symlinks=False).st_size]
                for entry in shards
            )

    def index(self) -> Index:
        """Read the manifests: where shards overlap, the smallest key wins; rows win over failures."""
        names = self.names()
        if names == self._names:
            return self._index
        index = Index()
        for name in sorted(filter(may_be_manifest, names)):
            manifest = self._manifest(name)
            if manifest and manifest["payload"] not in names:
                del self._known[name]  # another process may have published it again
                manifest = self._manifest(name)
            if manifest is None:
                continue
            if manifest["payload"] in names:
                payload = self.folder / manifest["payload"]
                for source in manifest["digests"]:
                    index.rows.setdefault(source, payload)
                index.codes.add(manifest["provenance"].get("code"))
                index.size += manifest["size"]
            for failure in manifest["failures"]:
                known = index.failures.setdefault(failure["digest"], failure)
                if failure["retry"] > known["retry"]:
                    index.failures[failure["digest"]] = failure
        self._names, self._index = names, index
        return index

    def _manifest(self, name: str) -> dict | None:
        """Manifests never change once they are there, so each is read once."""
        if name not in self._known:
            there = publish.read_json(self.folder / name, publish.MOST_MANIFEST)
            if not self.is_of_shard(there, name):
                return None
            self._known[name] = there
        return self._known[name]

    def is_of_shard(self, value: object, name: str) -> bool:
        """Whether a file of this name, holding this value, is the manifest of a shard of the store's spec."""
        return is_shard_manifest(value, name) and value["spec"] == self.spec_digest

    def shard_key(self, items: Iterable[Item], retry: int) -> str:
        return digest({"spec": self.spec_digest, "items": sorted(d for _, d in items), "retry": retry})

    def publish_shard(
        self, items: Sequence[Item], retry: int, write: Callable[[Path, str], dict], provenance: dict
    ) -> None:
        """Let `write(path, key)` write the shard of these items, then publish it.

        `write` returns {"digests": those written, "failures": [{"id", "digest", "reason"}], "content": sha256,
        "provenance": {…}}.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        place = self.folder / "store.json"
        publish.publish_json(place, self.about_spec(), lambda _: Store.open(self.folder) is not None)
        key = self.shard_key(items, retry)
        payload = self.folder / f"{key}-{publish.unique()}.h5"
        work = payload.with_name(f".{payload.name}")
        started = time.time()
        try:
            written = write(work, key)
            size, sha256 = work.stat().st_size, file_digest(work)
            os.rename(work, payload)
        except BaseException:
            work.unlink(missing_ok=True)
            raise
        publish.sync(self.folder)
        names = {source: name for name, source in items}
        before = self.newest()  # whose clock may be ahead: the last one is the newest all the same
        manifest = {
            "key": key,
            "spec": self.spec_digest,
            "payload": payload.name,
            "content": written["content"],
            "sha256": sha256,
            "size": size,
            "items": len(written["digests"]),
            "ids": [names[source] for source in written["digests"]],
            "digests": written["digests"],
            "failures": [{**failure, "retry": retry} for failure in written["failures"]],
            "created": min(max(time.time(), before["created"] + 1e-3 if before else 0.0), LATEST - 1),
            "provenance": {**provenance, **written["provenance"], "seconds": round(time.time() - started, 3)},
        }
        if len(publish.json_text(manifest)) > publish.MOST_MANIFEST // 4:  # letters have up to four bytes
            payload.unlink()
            such = items[0][0][:60]
            raise ValueError(f"{len(items)} items, as {such!r}, are too many for a shard: lower pipeline.shard_size")
        place = self.folder / f"{key}.json"
        published = publish.publish_json(
            place,
            manifest,
            lambda there: self.is_of_shard(there, place.name) and (self.folder / there["payload"]).exists(),
        )
        self._known.pop(place.name, None)
        self._names = None
        if published["payload"] != payload.name:
            payload.unlink()

    def drop(self, chosen: Callable[[dict], bool]) -> None:
        """Delete the shards whose manifest is `chosen`, manifest first."""
        for path in self.files(chosen):
            path.unlink(missing_ok=True)


def store_of(root: Path, spec: dict) -> Store:
    """The store of all shards in an artifacts folder that were made under a spec."""
    return Store(root / "stores" / f"{spec['stage']}-{digest(spec)[:16]}", spec)


def stores_in(root: Path, stage: str = "*") -> list[Path]:
    """The folders of all stores in an artifacts folder, or of those of a stage."""
    return sorted((root / "stores").glob(f"{stage}-*"))


def may_be_manifest(name: str) -> bool:
    """Whether a file is called as a shard's manifest is."""
    return name.endswith(".json") and name != "store.json" and not name.startswith(".")
