"""Merging stores by item: which shards one lacks of another, and copying them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from videocap.pipeline.artifacts import publish
from videocap.pipeline.digests import digest
from videocap.pipeline.sharing.copying import DamagedFile, File, Place, at_once, copy_all, manifest_or_reason, reason
from videocap.pipeline.sharing.place import read_json
from videocap.pipeline.stores.store import Index, Store, may_be_manifest

Check = Callable[[Path, dict, dict], list[str]]
"""What is wrong with a shard's file that came whole, by manifest and spec: `extract.shards.checks.check_arrived`."""
NAMED = 3  # of several things, those that a person is told of
MOST_MANIFESTS = 1 << 30
"""Bytes of the manifests of a store elsewhere that are read: a stranger's may be without end."""
CURE_HERE = "delete it and its manifest, and the next run makes it anew; what was imported, import again"
CURE_THERE = "delete it and its manifest there, and who has it whole can push it again"


@dataclass
class Sent:
    """What travelled of a stage, or would."""

    stage: str
    place: str = ""
    """Where it lies on both sides, from the artifacts folder; nothing if that is not known."""
    files: int = 0
    size: int = 0
    """Bytes of these files."""
    items: int = 0
    """Of a store: how many of them the other side lacked."""
    there: int = 0
    """Shards all of whose items the other side has; of a stage that is no pack, whether it has that."""
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Sentences that name what could not travel, and say why."""


class _StoreAt(Store):
    """A store in a place, as one listing shows it. Manifests that are known already are not read again.

    A shard that is listed with another size than its manifest says is as good as not there.

    Args:
        folder: where it lies in the place.
        store: the same store here.
        listed: the sizes of its files.
        needed: manifests; if all their shards are there, nothing else is read.
    """

    def __init__(
        self, place: Place, folder: str, store: Store, listed: Mapping[str, int | None], needed: dict | None = None
    ):
        super().__init__(Path(folder), store.spec)
        self.damaged: dict[str, str] = {}
        """Why files are left out, by name."""
        self._listed = set(listed)
        self._read = {name: one for name, one in store.manifests().items() if self._is_same(name, one, listed)}
        if needed is None or not needed.keys() <= self._read.keys():
            unread = [name for name in listed if may_be_manifest(name) and name not in self._read]
            fit = [name for name in unread if (listed[name] or 0) <= publish.MOST_MANIFEST]
            self.damaged |= {name: "it is too large for a manifest" for name in unread if name not in fit}
            if sum(listed[name] or 0 for name in fit) > MOST_MANIFESTS:
                raise ValueError(f"{place}/{folder} has more than {MOST_MANIFESTS} bytes of manifests")
            paths = [f"{folder}/{name}" for name in fit]
            for name, found in zip(fit, at_once(partial(manifest_or_reason, place), paths), strict=True):
                if self.is_of_shard(found, name):
                    self._read[name] = found
                else:
                    not_one = "it is no manifest of a shard of this spec"
                    self.damaged[name] = found if isinstance(found, str) else not_one
        for name, one in list(self._read.items()):
            size = listed.get(one["payload"], one["size"])  # what is not listed may have come since
            if size not in (None, one["size"]):
                says = f"it has {size} bytes, not {one['size']} as its manifest says"
                self.damaged[one["payload"]] = says if size >= 0 else "it is a link, or no regular file"
                self._listed.discard(one["payload"])
                del self._read[name]

    @staticmethod
    def _is_same(name: str, manifest: dict, listed: Mapping[str, int | None]) -> bool:
        """Whether a shard is listed as it would be if it were the one with this manifest."""
        as_here = (listed.get(name, 0), listed.get(manifest["payload"], 0))
        expected = (len(publish.json_text(manifest).encode()), manifest["size"])
        return all(size in (None, one) for size, one in zip(as_here, expected, strict=True))

    def names(self) -> set[str]:
        """The names of the files that were listed, without damaged shards."""
        return self._listed

    def _manifest(self, name: str) -> dict | None:
        if name in self._read:
            self._known[name] = self._read[name]
        return self._read.get(name)


def send_shards(
    store: Store, place: Place, there: Place, sent: Sent, dry_run: bool, check: Check | None = None
) -> None:
    """Copy shards until the target lacks nothing that there is. That it lacked nothing is remembered."""
    listings = [place.sizes(sent.place), there.sizes(sent.place)]
    asked = [str(place), str(there), *(sorted(listed.items()) for listed in listings)]
    memo = store.folder / "memo" / f"{digest(asked)[:32]}.json"
    if _is_memo(known := publish.read_json(memo)):
        sent.there = known["there"]
        return
    source = _StoreAt(place, sent.place, store, listings[0])
    target = _StoreAt(there, sent.place, store, listings[1], needed=source.manifests())
    cure = CURE_HERE if place.mine else CURE_THERE
    sent.problems += [f"{place}/{sent.place}/{name} is left out: {why}; {cure}" for name, why in source.damaged.items()]
    sent.notes += [f"{there}/{sent.place}/{name} does not count: {why}" for name, why in target.damaged.items()]
    index, held, left = target.index(), target.manifests(), source.manifests()
    sent.there = sum(_covered(one, index) for one in left.values())
    wanted = _choose(left, index)
    for name in [name for name in wanted if name in held and held[name]["payload"] in target.names()]:
        failed = ", ".join(failure["id"] for failure in held[name]["failures"][:NAMED])
        sent.notes.append(f"{name[:12]}… is there already, made where other items failed ({failed}), and stays so")
        del left[name], wanted[name]
    if dry_run or not wanted:
        _count(wanted.values(), index, sent)
        if sent.there and not (dry_run or sent.problems or sent.notes):
            publish.remember_json(memo, {"there": sent.there}, _is_memo)
        return
    try:
        there.publish(
            f"{sent.place}/store.json", store.about_spec(), lambda now: isinstance(now, dict) and "spec" in now
        )
    except Exception as error:  # places have errors of their own
        sent.problems.append(f"{there}/{sent.place} can't be written: {reason(error)}")
        return
    copied: dict[str, dict] = {}

    def publish_manifest(name: str) -> None:
        one, path = wanted[name], f"{sent.place}/{name}"
        there.publish(path, one, lambda now: _is_whole(now, name, store, there, sent.place))
        if read_json(there, path).get("payload") == one["payload"]:
            copied[name] = one
            rest = [other for other in target.damaged if other.startswith(f"{name[:64]}-") and other != one["payload"]]
        else:  # another process was first, with values of its own
            sent.there += 1
            rest = [one["payload"]]
        for other in rest:
            with suppress(FileNotFoundError):
                there.remove(f"{sent.place}/{other}")

    while wanted:
        files = {name: _file_of(one, sent.place, store.spec, check) for name, one in wanted.items()}
        sent.problems += copy_all(sent.stage, place, there, files, cure, publish_manifest).values()
        left = {name: one for name, one in left.items() if name not in wanted}
        wanted = _choose(left, _with(index, copied.values()))  # others may hold what a bad one held
    _count(copied.values(), index, sent)
    there.tidy(sent.place)


def _is_whole(manifest: Any, name: str, store: Store, there: Place, folder: str) -> bool:
    """Whether what lies there now is the manifest of a shard, and that is there, too."""
    if not store.is_of_shard(manifest, name):
        return False
    return there.sizes(folder).get(manifest["payload"], -1) in (None, manifest["size"])


def _is_memo(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("there"), int)


def _file_of(manifest: dict, folder: str, spec: dict, check: Check | None) -> File:
    """A shard's file, which on this machine is not to be seen before it is checked."""

    def refuse(path: Path) -> None:
        if check and (wrong := check(path, manifest, spec)):
            raise DamagedFile("; ".join(wrong).replace(str(path), "it"))

    return File(f"{folder}/{manifest['payload']}", manifest["size"], manifest["sha256"], refuse)


def _choose(manifests: dict[str, dict], index: Index) -> dict[str, dict]:
    """The shards that hold what a store of this index lacks, the largest first, but none that those before it cover."""
    held, found = _with(index, ()), {}
    for name, one in sorted(manifests.items(), key=lambda pair: -len(pair[1]["digests"])):
        if not _covered(one, held):
            found[name] = one
            _add(held, one)
    return found


def _covered(manifest: dict, index: Index) -> bool:
    """Whether a store of this index has all that a shard's manifest tells of."""
    rows = all(source in index.rows for source in manifest["digests"])
    return rows and all(index.settled(failure["digest"], failure["retry"]) for failure in manifest["failures"])


def _with(index: Index, manifests: Iterable[dict]) -> Index:
    """The index of a store that holds these shards, too."""
    held = Index(dict(index.rows), dict(index.failures))
    for one in manifests:
        _add(held, one)
    return held


def _add(index: Index, manifest: dict) -> None:
    index.rows |= dict.fromkeys(manifest["digests"], Path())
    new = [failure for failure in manifest["failures"] if not index.settled(failure["digest"], failure["retry"])]
    index.failures |= {failure["digest"]: failure for failure in new}


def _count(manifests: Collection[dict], index: Index, sent: Sent) -> None:
    """Say how much shards are, and how many of their items a store of this index lacks."""
    sent.files, sent.size = len(manifests), sum(one["size"] for one in manifests)
    sent.items = len({source for one in manifests for source in one["digests"]} - index.rows.keys())
