"""Merging stores by item: which shards one lacks of another, and copying them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pipeline import publish
from pipeline.copying import File, Place, at_once, attempt, copy_all, manifest_or_reason
from pipeline.keys import digest
from pipeline.places import Folder
from pipeline.stores import Index, Store, may_be_manifest

Check = Callable[[Path, dict, dict], list[str]]
"""What is wrong with a shard's file that came whole, given its manifest and spec, as `extract.verify.check_arrived`."""
NAMED = 3  # of several things, those that a person is told of
MOST_MANIFESTS = 1 << 30
"""Bytes of the manifests of a store elsewhere that are read: a stranger's may be without end."""
CURE_HERE = "delete it and its manifest, and the next run makes it anew; what was imported, import again"
CURE_THERE = "who has it whole may push it again; else delete it and its manifest there"


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
    """Shards all of whose items the other side has, or will have; of a stage that is no pack, whether it has that."""
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
        known = store.manifests()
        self._read = {
            n: one for n, one in known.items() if n in listed and listed.get(one["payload"], 0) in (None, one["size"])
        }
        if needed is None or not needed.keys() <= self._read.keys():
            unread = [name for name in listed if may_be_manifest(name) and name not in self._read]
            fit = [name for name in unread if (listed[name] or 0) <= publish.MOST_MANIFEST]
            self.damaged |= {name: "it is too large for a manifest" for name in unread if name not in fit}
            if sum(listed[name] or 0 for name in fit) > MOST_MANIFESTS:
                raise ValueError(f"{place}/{folder} has more than {MOST_MANIFESTS} bytes of manifests")
            paths = [f"{folder}/{name}" for name in fit]
            for name, found in zip(fit, at_once(partial(manifest_or_reason, place), paths), strict=True):
                if self._is_of_shard(found, name):
                    self._read[name] = found
                else:
                    not_one = "it is no manifest of a shard of this spec"
                    self.damaged[name] = found if isinstance(found, str) else not_one
        for name, one in list(self._read.items()):
            size = listed.get(one["payload"], one["size"])  # what is not listed may have come since
            if size not in (None, one["size"]):
                self.damaged[one["payload"]] = f"it has {size} bytes, not {one['size']} as its manifest says"
                self._listed.discard(one["payload"])
                del self._read[name]

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
    cure = CURE_HERE if isinstance(place, Folder) and place.mine else CURE_THERE
    sent.problems += [f"{place}/{sent.place}/{name} is left out: {why}; {cure}" for name, why in source.damaged.items()]
    index, held, names = target.index(), target.manifests(), target.names()
    left = source.manifests()
    wanted = _choose(left, index)
    for name in [name for name in wanted if name in held and held[name]["payload"] in names]:
        failed = ", ".join(failure["id"] for failure in held[name]["failures"][:NAMED])
        sent.notes.append(f"{name[:12]}… is there already, made where other items failed ({failed}), and stays so")
        del left[name], wanted[name]
    sent.there = len(left) - len(wanted)
    if dry_run or not wanted:
        _count(wanted.values(), index, sent)
        if not (wanted or sent.problems or sent.notes):
            publish.remember_json(memo, {"there": sent.there}, _is_memo)
        return
    about = f"{sent.place}/store.json"
    if "store.json" not in names and (why_not := attempt(there.publish, about, source.about_spec(), False)):
        sent.problems.append(f"{there}/{sent.place} can't be written: {why_not}")
        return
    copied: dict[str, dict] = {}

    def publish_manifest(name: str) -> None:
        one, path = wanted[name], f"{sent.place}/{name}"
        if there.publish(path, one, name in names):
            copied[name] = one
        else:  # another process was first, maybe with values of its own
            first = manifest_or_reason(there, path)
            if isinstance(first, dict) and first.get("payload") != one["payload"]:
                there.remove(f"{sent.place}/{one['payload']}")

    while wanted:
        files = {name: _file_of(one, sent.place, source.spec, check) for name, one in wanted.items()}
        failed = copy_all(sent.stage, place, there, files, publish_manifest)
        sent.problems += [f"{place}/{files[name].path} is left out: {why}; {cure}" for name, why in failed.items()]
        left = {name: one for name, one in left.items() if name not in wanted}
        wanted = _choose(left, _with(index, copied.values()))  # others may hold what a bad one held
    _count(copied.values(), index, sent)
    there.tidy(sent.place)


def _is_memo(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("there"), int)


def _file_of(manifest: dict, folder: str, spec: dict, check: Check | None) -> File:
    """A shard's file, which on this machine is not to be seen before it is checked."""

    def refuse(path: Path) -> None:
        if check and (wrong := check(path, manifest, spec)):
            raise ValueError("; ".join(wrong).replace(str(path), "it"))

    return File(f"{folder}/{manifest['payload']}", manifest["size"], manifest["sha256"], refuse)


def _choose(manifests: dict[str, dict], index: Index) -> dict[str, dict]:
    """The shards that hold what a store of this index lacks, the largest first, and none that the others cover."""
    held, found = _with(index, ()), {}
    for name, one in sorted(manifests.items(), key=lambda pair: -len(pair[1]["digests"])):
        rows = all(source in held.rows for source in one["digests"])
        if not rows or not all(held.settled(failure["digest"], failure["retry"]) for failure in one["failures"]):
            found[name] = one
            _add(held, one)
    return found


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
