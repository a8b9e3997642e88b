"""Push and pull: results travel between an artifacts folder and a place that others reach, which is laid out alike.

What travels is what a config names: the shards of a spec's store, or the result of a stage under its key. Nothing is
rewritten on either side: a file is copied under its own name, and the manifest that lets it be seen comes last.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.filesize import decimal
from tqdm import tqdm

from pipeline.artifacts import is_manifest
from pipeline.experiment import Experiment
from pipeline.gather import Gather
from pipeline.keys import digest
from pipeline.pack import Pack
from pipeline.places import Folder, Remote, read_json
from pipeline.reasons import differences, sentence
from pipeline.stage import Stage
from pipeline.stores import Index, Store, is_recipe, may_be_manifest

Place = Folder | Remote
Check = Callable[[Path, dict, dict], list[str]]
"""What is wrong with a shard's file that came whole, given its manifest and spec, as `extract.verify.check_arrived`."""
AT_ONCE = 4  # files
PIECE = 1 << 20  # bytes that are copied at once
NAMED = 3  # stores of another spec that a person is told of


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
    """Of a store: how many the files hold."""
    there: int = 0
    """Files that the other side has, or has in other shards."""
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
        ValueError: for a name of none of the experiment's stages, or a place that can't be written.
    """
    here = Folder(experiment.artifacts.root)
    kinds = chosen(experiment, names)
    if not dry_run:
        there.create()
    for kind in kinds:
        stage, sent = kind.of(experiment), Sent(kind.__name__)
        if stage.key() is None or (not isinstance(stage, Pack) and stage.payload() is None):
            sent.problems.append("there is none here that fits this config: a run of the pipeline makes it")
        elif isinstance(stage, Pack):
            sent.place = stage.place()
            _send_shards(
                stage.store, here, _StoreAt(there, sent.place, stage.store, [], all_known=True), there, sent, dry_run
            )
        else:
            sent.place = stage.place()
            has = "manifest.json" in there.sizes(sent.place)
            _send_result(stage, here, there, sent, has, dry_run)
        yield sent


def pull(
    experiment: Experiment, names: Sequence[str], there: Place, check: Check, dry_run: bool = False
) -> Iterator[Sent]:
    """Copy from a place what is lacking here, each file checked before it is seen; as `push`.

    Stages come in the order of the pipeline, because some keys are known only when what is before them is here.
    """
    here = Folder(experiment.artifacts.root)
    for kind in chosen(experiment, names):
        stage, sent = kind.of(experiment), Sent(kind.__name__)
        stage.digests(compute=True)
        experiment.forget()
        if stage.key() is None:
            waits = ", ".join(sorted(other.__name__ for other in stage.waits_for()))
            sent.problems.append(f"its key is known only when here are: {waits}")
        elif isinstance(stage, Pack):
            sent.place = stage.place()
            theirs = _StoreAt(there, sent.place, stage.store, sent.problems)
            if not theirs.names():
                sent.problems.append(_nothing_at(there, stage))
            mine = _StoreAt(here, sent.place, stage.store, [], all_known=True)  # without what a power cut left short
            _send_shards(theirs, there, mine, here, sent, dry_run, check)
        else:
            sent.place = stage.place()
            _send_result(stage, there, here, sent, stage.payload() is not None, dry_run)
        experiment.forget()
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
        if issubclass(kind, Gather):
            todo.append(type(kind.of(experiment).pack))
        elif kind not in found:
            found.add(kind)
            todo += [stage for stage, _ in kind.of(experiment).needs().values()]
    return [kind for kind in experiment.order if kind in found]


class _StoreAt(Store):
    """A store elsewhere, as one listing shows it. Manifests that are the same here are not read again.

    Args:
        known: the manifests here.
        problems: filled with a line for each file that is no manifest.
        all_known: read nothing if all that is here is there.
    """

    def __init__(self, place: Place, folder: str, here: Store, problems: list[str], all_known: bool = False):
        super().__init__(Path(folder), here.spec)
        listed, known = place.sizes(folder), here.manifests()
        same = {name: one for name, one in known.items() if listed.get(one["payload"], 0) in (None, one["size"])}
        # what is there with another size than it has here is damaged: as good as not there
        self._listed = listed.keys() - {one["payload"] for name, one in known.items() if name not in same}
        self._read = {name: one for name, one in same.items() if name in listed}
        if all_known and len(self._read) == len(known):
            return
        unread = [name for name in self._listed if may_be_manifest(name) and name not in self._read]
        for name, found in zip(unread, _at_once(partial(_manifest_or_reason, place, folder), unread), strict=True):
            if self._is_of_shard(found, name):
                self._read[name] = found
            else:
                reason = found if isinstance(found, str) else "it is no manifest of a shard of this spec"
                problems.append(f"{place}/{folder}/{name} is left out: {reason}")

    def names(self) -> set[str]:
        """The names of the files that were listed, without damaged shards."""
        return self._listed

    def _manifest(self, name: str) -> dict | None:
        if name in self._read:
            self._known[name] = self._read[name]
        return self._read.get(name)


def _send_shards(
    source: Store, place: Place, target: Store, there: Place, sent: Sent, dry_run: bool, check: Check | None = None
) -> None:
    """Copy the shards of which the target lacks an item, or that one failed."""
    index, held, names = target.index(), target.manifests(), target.names()
    lacking = {}
    for name, one in source.manifests().items():
        if _covered(one, index):
            sent.there += 1
        elif name in held and held[name]["payload"] in names:
            sent.there += 1
            failed = ", ".join(failure["id"] for failure in held[name]["failures"][:NAMED])
            sent.notes.append(f"{name[:12]}… is there, but with {failed} failed, and stays so")
        else:
            lacking[name] = one
    _count(lacking.values(), index, sent)
    if dry_run or not lacking:
        return
    _check_room(there, sent)
    about = f"{sent.place}/store.json"
    if "store.json" not in names and (why_not := _try(there.publish, about, source.about_spec(), False)):
        sent.problems.append(f"{there} can't be written: {why_not}")
        return _count([], index, sent)

    def copy(name: str, advance: Callable[[int], object]) -> None:
        one, payload = lacking[name], f"{sent.place}/{lacking[name]['payload']}"

        def check_here(path: Path) -> None:
            if check and (wrong := check(path, one, source.spec)):
                raise ValueError("; ".join(wrong).replace(str(path), "it"))

        there.write(payload, _pieces(place, payload, one["size"], one["sha256"], advance), check_here)
        if not there.publish(f"{sent.place}/{name}", one, replace=name in names):
            with suppress(ValueError):  # another process was first, maybe with values of its own
                if read_json(there, f"{sent.place}/{name}")["payload"] != one["payload"]:
                    there.remove(payload)

    failed = _copy_all({name: one["payload"] for name, one in lacking.items()}, copy, place, sent)
    _count([one for name, one in lacking.items() if name not in failed], index, sent)


def _count(manifests: Collection[dict], index: Index, sent: Sent) -> None:
    """Say how much shards are, and how many of their items a store of this index lacks."""
    sent.files, sent.size = len(manifests), sum(one["size"] for one in manifests)
    sent.items = len({source for one in manifests for source in one["digests"]} - index.rows.keys())


def _covered(manifest: dict, index: Index) -> bool:
    """Whether a store of this index has all that a shard's manifest tells of."""
    rows = all(source in index.rows for source in manifest["digests"])
    return rows and all(index.settled(failure["digest"], failure["retry"]) for failure in manifest["failures"])


def _send_result(stage: Stage, place: Place, there: Place, sent: Sent, has: bool, dry_run: bool) -> None:
    """Copy a stage's result, unless the target `has` it; its manifest comes when all files are there."""
    manifest = _manifest_or_reason(place, sent.place, "manifest.json")
    if has:
        sent.there = 1
    elif isinstance(manifest, str):
        sent.problems.append(f"{place} has none of this key: {manifest}")
    elif not _is_of(manifest, stage):
        sent.problems.append(f"{place}/{sent.place}/manifest.json is left out: it is not that of a {stage.name}")
    else:
        files, folder = manifest["files"], f"{sent.place}/{manifest['payload']}"
        sent.files, sent.size = len(files), sum(file["size"] for file in files.values())
        if dry_run:
            return
        _check_room(there, sent)

        def copy(name: str, advance: Callable[[int], object]) -> None:
            path, file = f"{folder}/{name}", files[name]
            there.write(path, _pieces(place, path, file["size"], file["sha256"], advance), lambda path: None)

        failed = _copy_all({name: f"{manifest['payload']}/{name}" for name in files}, copy, place, sent)
        about, replace = f"{sent.place}/manifest.json", stage.manifest() is not None
        if not failed and (why_not := _try(there.publish, about, manifest, replace)):
            sent.problems.append(f"{there} can't be written: {why_not}")
        if sent.problems:
            sent.files = sent.size = 0


def _is_of(manifest: Any, stage: Stage) -> bool:
    """Whether a value is the manifest of this very result: its key must follow from its recipe."""
    return (
        is_manifest(manifest)
        and manifest.get("stage") == stage.name
        and manifest["key"] == stage.key() == digest(manifest["recipe"])
        and manifest["content"] == digest({name: file["sha256"] for name, file in manifest["files"].items()})
    )


def _copy_all(files: dict[str, str], copy: Callable[[str, Callable], None], place: Place, sent: Sent) -> set[str]:
    """Copy several files at a time, whatever happens to one; a bar shows the bytes. Returns those that failed."""
    with tqdm(total=sent.size, desc=sent.stage, unit="B", unit_scale=True, disable=None) as bar:

        def attempt(name: str) -> str | None:
            why_not = _try(copy, name, bar.update)
            return why_not and f"{place}/{sent.place}/{files[name]} is left out: {why_not}"

        failed = {name: problem for name, problem in zip(files, _at_once(attempt, files), strict=True) if problem}
    sent.problems += failed.values()
    return failed.keys()


def _at_once(function: Callable[[str], Any], names: Iterable[str]) -> Iterator[Any]:
    """What a function gives for each name, in order, some at a time."""
    threads = ThreadPoolExecutor(AT_ONCE)
    try:
        yield from threads.map(function, names)
    finally:
        threads.shutdown(cancel_futures=True)


def _pieces(place: Place, path: str, size: int, sha256: str, advance: Callable[[int], object]) -> Iterator[memoryview]:
    """A file's bytes, some at a time, in memory that the next ones overwrite: new memory costs as much as copying.

    Raises ValueError, at the latest in the end, unless they are those expected.
    """
    found, done, buffer = hashlib.sha256(), 0, memoryview(bytearray(PIECE))
    with place.open(path) as file:
        while count := file.readinto(buffer):
            done += count
            if done > size:
                raise ValueError(f"it has more than the {size} bytes of its manifest")
            found.update(buffer[:count])
            yield buffer[:count]
            advance(count)
    if done != size:
        raise ValueError(f"it has {done} bytes, not {size} as its manifest says")
    if found.hexdigest() != sha256:
        raise ValueError(f"its sha256 is {found.hexdigest()[:12]}…, not that of its manifest")


def _check_room(there: Place, sent: Sent) -> None:
    """Raise ValueError if a folder's disk has no room for what is to come."""
    if isinstance(there, Folder):
        place = next(path for path in (there.root, *there.root.parents) if path.is_dir())
        if sent.size > (free := shutil.disk_usage(place).free):
            raise ValueError(f"{sent.stage}: {decimal(sent.size)} do not fit on the {decimal(free)} free in {there}")


def _nothing_at(there: Place, stage: Pack) -> str:
    """That a place has no shard of a pack's spec, and how those differ that it has."""
    told = []
    for name in [name for name in there.folders("stores") if name.startswith(f"{stage.name}-")][:NAMED]:
        about = _manifest_or_reason(there, f"stores/{name}", "store.json")
        if isinstance(about, dict) and is_recipe(spec := about.get("spec")):
            told.append(f"{name} (there → here: {sentence(differences(spec, stage.draft()), most=9)})")
    return f"{there} has no shards of this spec" + f"; it has {'; '.join(told)}" * bool(told)


def _manifest_or_reason(place: Place, folder: str, name: str) -> Any:
    """The JSON in a file, or a sentence why there is none."""
    try:
        return read_json(place, f"{folder}/{name}")
    except Exception as error:  # places have errors of their own
        return _reason(error)


def _try(action: Callable, *arguments: Any) -> str | None:
    """Do something; if it fails, why."""
    try:
        action(*arguments)
    except Exception as error:  # places have errors of their own; the rest goes on, and all are told
        return _reason(error)
    return None


def _reason(error: Exception) -> str:
    if getattr(error, "errno", None) == errno.ENOENT:
        return "it is not there"
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(said.split())
