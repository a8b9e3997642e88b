"""Push and pull: results travel between an artifacts folder and a place that others reach, which is laid out alike.

What travels is what a config names: the shards of a spec's store, or the result of a stage under its key. Nothing is
rewritten on either side: a file is copied under its own name, and the manifest that lets it be seen comes last.
"""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from pipeline import publish
from pipeline.artifacts import is_manifest
from pipeline.copying import File, Place, at_once, attempt, copy_all, manifest_or_reason, reason
from pipeline.experiment import Experiment
from pipeline.gather import Gather
from pipeline.keys import digest
from pipeline.pack import Pack
from pipeline.places import Folder
from pipeline.reasons import differences, sentence
from pipeline.stage import Stage
from pipeline.stores import Index, Store, is_recipe, may_be_manifest

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


def push(experiment: Experiment, names: Sequence[str], there: Place, dry_run: bool = False) -> Iterator[Sent]:
    """Copy to a place what it lacks; yields what was sent of each stage.

    Args:
        experiment: says under which specs and keys.
        names: of stages, a gather for its packs; what their keys depend on travels, too. By default all gathers.
        there: where to.
        dry_run: copy nothing.

    Raises:
        ValueError: for a name of none of the experiment's stages, or a place that can't be.
    """
    kinds = chosen(experiment, names)
    if not dry_run:
        there.create()
    here = Folder(experiment.artifacts.root, mine=True)

    def send(stage: Stage, sent: Sent) -> None:
        sent.place = stage.place() or ""
        if not sent.place or not (stage.store.manifests() if isinstance(stage, Pack) else stage.payload()):
            sent.problems.append("there is none here that fits this config: a run of the pipeline makes it")
        elif isinstance(stage, Pack):
            _send_shards(stage.store, here, there, sent, dry_run)
        else:
            _send_result(stage, here, there, sent, dry_run)

    return _each(experiment, kinds, send)


def pull(
    experiment: Experiment, names: Sequence[str], there: Place, check: Check, dry_run: bool = False
) -> Iterator[Sent]:
    """Copy from a place what is lacking here, each file checked before it is seen; as `push`.

    Stages come in the order of the pipeline, because some keys are known only when what is before them is here.
    """
    here = Folder(experiment.artifacts.root, mine=True)

    def send(stage: Stage, sent: Sent) -> None:
        stage.digests(compute=True)
        experiment.forget()
        sent.place = stage.place() or ""
        if not sent.place:
            waits = ", ".join(sorted(other.__name__ for other in stage.waits_for()))
            sent.problems.append(f"its key is known only when here are: {waits}")
        elif isinstance(stage, Pack):
            before = set(stage.store.index().failures)
            _send_shards(stage.store, there, here, sent, dry_run, check)
            if not (sent.files or sent.there or sent.problems or sent.notes):
                _tell_nothing(stage, there, sent)
            _tell_failures(stage, before, sent)
        else:
            _send_result(stage, there, here, sent, dry_run)
        experiment.forget()

    return _each(experiment, chosen(experiment, names), send)


def _each(experiment: Experiment, kinds: Sequence[type[Stage]], send: Callable[[Stage, Sent], None]) -> Iterator[Sent]:
    for kind in kinds:
        sent = Sent(kind.__name__)
        try:
            send(kind.of(experiment), sent)
        except Exception as error:  # places have errors of their own, and the other stages go on
            sent.problems.append(str(error) if isinstance(error, ValueError) else reason(error))
        yield sent


def chosen(experiment: Experiment, names: Sequence[str]) -> list[type[Stage]]:
    """The stages of these names, with those that their keys depend on, in order; packs instead of gathers.

    Raises ValueError for a name of none of the experiment's stages.
    """
    kinds = {kind.__name__: kind for kind in experiment.order}
    if unknown := [name for name in names if name not in kinds]:
        raise ValueError(f"this experiment has no stage {', '.join(unknown)}; it has {', '.join(kinds)}")
    todo = [kinds[name] for name in names or [kind.__name__ for kind in experiment.order if issubclass(kind, Gather)]]
    found: set[type[Stage]] = set()
    while todo:
        kind = todo.pop()
        stage = kind(experiment=experiment, id="")  # `of` would ask for all sources behind it
        if isinstance(stage, Gather):
            todo.append(type(stage.pack))
        elif kind not in found:
            found.add(kind)
            todo += [other for other, _ in stage.needs().values()]
    return [kind for kind in experiment.order if kind in found]


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


def _send_shards(
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
    _check_room(there, sum(one["size"] for one in wanted.values()))
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


def _send_result(stage: Stage, place: Place, there: Place, sent: Sent, dry_run: bool) -> None:
    """Copy a stage's result, unless the target has it whole; its manifest comes when all files are there."""
    about = f"{sent.place}/manifest.json"
    theirs, manifest = manifest_or_reason(there, about), manifest_or_reason(place, about)
    if _is_of(theirs, stage) and not _lacking(there, sent.place, theirs):
        sent.there = 1
    elif isinstance(manifest, str):
        sent.problems.append(f"{place} has none of this key: {manifest}")
    elif not _is_of(manifest, stage):
        sent.problems.append(f"{place}/{about} is left out: it is not that of a {stage.name}; delete it there")
    elif lacking := _lacking(place, sent.place, manifest):
        sent.problems.append(f"{place}/{sent.place} is left out: {lacking} is not wholly there; {CURE_THERE}")
    else:
        folder = f"{sent.place}/{manifest['payload']}"
        files = {n: File(f"{folder}/{n}", one["size"], one["sha256"]) for n, one in manifest["files"].items()}
        size = sum(file.size for file in files.values())
        if not dry_run:
            _check_room(there, size)
            if failed := copy_all(sent.stage, place, there, files):
                sent.problems += [f"{place}/{files[name].path} is left out: {why}" for name, why in failed.items()]
                return
            there.publish(about, manifest, "manifest.json" in there.sizes(sent.place))
        sent.files, sent.size = len(files), size


def _is_of(manifest: Any, stage: Stage) -> bool:
    """Whether a value is the manifest of this very result: its key must follow from its recipe."""
    return (
        is_manifest(manifest)
        and manifest.get("stage") == stage.name
        and manifest["key"] == stage.key() == digest(manifest["recipe"])
        and manifest["content"] == digest({name: file["sha256"] for name, file in manifest["files"].items()})
    )


def _lacking(place: Place, folder: str, manifest: dict) -> str | None:
    """The first of a result's files that is not there with its size."""
    sizes: dict[str, dict] = {}
    for name, file in manifest["files"].items():
        inside, base = posixpath.split(name)
        if inside not in sizes:
            sizes[inside] = place.sizes(posixpath.join(folder, manifest["payload"], inside).rstrip("/"))
        if sizes[inside].get(base, -1) not in (None, file["size"]):
            return name
    return None


def _check_room(there: Place, size: int) -> None:
    """Raise ValueError if a folder's disk has no room for what is to come."""
    if isinstance(there, Folder):
        place = next(path for path in (there.root, *there.root.parents) if path.is_dir())
        if size > (free := shutil.disk_usage(place).free):
            raise ValueError(f"{decimal(size)} do not fit on the {decimal(free)} free in {there}: make room")


def _tell_nothing(stage: Pack, there: Place, sent: Sent) -> None:
    """That a place has no shard of a pack's spec, and how those differ that it has."""
    told = []
    for name in [name for name in there.folders("stores") if name.startswith(f"{stage.name}-")][:NAMED]:
        about = manifest_or_reason(there, f"stores/{name}/store.json")
        if isinstance(about, dict) and is_recipe(spec := about.get("spec")):
            told.append(f"{name} (there → here: {sentence(differences(spec, stage.draft()), most=9)})")
    nothing = there.missing() or f"{there} has no shards of this spec" + f"; it has {'; '.join(told)}" * bool(told)
    sent.problems.append(nothing)


def _tell_failures(stage: Pack, before: Collection[str], sent: Sent) -> None:
    """Which items have failed where they were extracted, so that nobody tries them here unasked."""
    index = stage.store.index()
    new = [one for source, one in index.failures.items() if source not in before and source not in index.rows]
    if new:
        again = f"--override {stage.retry_field}={max(one['retry'] for one in new) + 1} tries them here"
        such = f"{new[0]['id']}: {new[0]['reason']}"
        sent.notes.append(f"{len(new)} {stage.holds[0]} failed where they were extracted, such as {such}; {again}")
