"""Push and pull: results travel between an artifacts folder and a place that others reach, which is laid out alike.

What travels is what a config names: the shards of a spec's store, or the result of a stage under its key. Nothing that
is whole is rewritten on either side: a file is copied under its own name, and the manifest that shows it comes last.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from videocap.pipeline import words
from videocap.pipeline.artifacts.shapes import is_manifest, is_recipe
from videocap.pipeline.digests import digest
from videocap.pipeline.sharing.copying import File, Place, copy_all, manifest_or_reason, reason
from videocap.pipeline.sharing.folder import Folder
from videocap.pipeline.sharing.merging import CURE_THERE, NAMED, Check, Sent, send_shards
from videocap.pipeline.stages.declared import Declared
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stages.reasons import differences
from videocap.pipeline.stages.spec import Spec


def push(experiment: Experiment, names: Sequence[str], there: Place, dry_run: bool = False) -> Iterator[Sent]:
    """Copy to a place what it lacks; yields what was sent of each stage.

    Args:
        experiment: says under which specs and keys.
        names: of stages, a gather for its shards; what their keys depend on travels, too. By default all gathers.
        there: where to.
        dry_run: copy nothing.

    Raises:
        ValueError: for a name of none of the experiment's stages, or a place that can't be.
    """
    kinds = chosen(experiment, names)
    if not dry_run:
        there.create()
    here = Folder(experiment.artifacts.root, mine=True)

    def send(stage: Declared, sent: Sent) -> None:
        product = stage.product
        sent.place = product.place or ""
        if not sent.place or not (product.store.manifests() if product.store else product.done):
            sent.problems.append("there is none here that fits this config: a run of the pipeline makes it")
        elif product.store:
            send_shards(product.store, here, there, sent, dry_run)
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

    def send(stage: Declared, sent: Sent) -> None:
        stage.recipe.digests(compute=True)
        experiment.look_again()
        product = stage.product
        sent.place = product.place or ""
        if not sent.place:
            waits = ", ".join(sorted(other.__name__ for other in stage.waits_for()))
            sent.problems.append(f"its key is known only when here are: {waits}")
        elif product.store:
            before = set(product.store.index().failures)
            send_shards(product.store, there, here, sent, dry_run, check)
            if not (sent.files or sent.there or sent.problems or sent.notes):
                _tell_nothing(stage, there, sent)
            _tell_failures(stage, before, sent)
        else:
            _send_result(stage, there, here, sent, dry_run)
        experiment.look_again()

    return _each(experiment, chosen(experiment, names), send)


def _each(
    experiment: Experiment, kinds: Sequence[type[Declared]], send: Callable[[Declared, Sent], None]
) -> Iterator[Sent]:
    for kind in kinds:
        sent = Sent(kind.__name__)
        try:
            send(kind.of(experiment), sent)
        except Exception as error:  # places have errors of their own, and the other stages go on
            sent.problems.append(reason(error))
        yield sent


def chosen(experiment: Experiment, names: Sequence[str]) -> list[type[Declared]]:
    """The stages of these names, with those that their keys depend on, in order; specs instead of gathers.

    Raises ValueError for a name of none of the experiment's stages.
    """
    kinds = {kind.__name__: kind for kind in experiment.order}
    if unknown := [name for name in names if name not in kinds]:
        raise ValueError(f"this experiment has no stage {', '.join(unknown)}; it has {', '.join(kinds)}")
    # drafts: the stages themselves would ask for all sources behind them
    drafts = {kind: kind.draft(experiment) for kind in experiment.order}
    gathers = [kind for kind, draft in drafts.items() if draft.shared() is not kind]
    todo = [kinds[name] for name in names] or gathers
    found: set[type[Declared]] = set()
    while todo:
        kind = drafts[todo.pop()].shared()
        if kind not in found:
            found.add(kind)
            todo += [other for other, _ in drafts[kind].needs().values()]
    return [kind for kind in experiment.order if kind in found]


def _send_result(stage: Declared, place: Place, there: Place, sent: Sent, dry_run: bool) -> None:
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
            if problems := copy_all(sent.stage, place, there, files, CURE_THERE):
                sent.problems += problems.values()
                return
            there.publish(about, manifest, lambda now: _is_of(now, stage) and not _lacking(there, sent.place, now))
        sent.files, sent.size = len(files), size


def _is_of(manifest: Any, stage: Declared) -> bool:
    """Whether a value is the manifest of this very result: its key must follow from its recipe."""
    return (
        is_manifest(manifest)
        and manifest.get("stage") == stage.name
        and manifest["key"] == stage.recipe.key == digest(manifest["recipe"])
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


def _tell_nothing(stage: Spec, there: Place, sent: Sent) -> None:
    """That a place has no shard of a pack's spec, and how those differ that it has."""
    told = []
    for name in [name for name in there.folders("stores") if name.startswith(f"{stage.name}-")][:NAMED]:
        about = manifest_or_reason(there, f"stores/{name}/store.json")
        if isinstance(about, dict) and is_recipe(spec := about.get("spec")):
            told.append(f"{name} (there → here: {words.reasons(differences(spec, stage.recipe.draft()), most=9)})")
    nothing = there.missing() or f"{there} has no shards of this spec" + f"; it has {'; '.join(told)}" * bool(told)
    sent.problems.append(nothing)


def _tell_failures(stage: Spec, before: Collection[str], sent: Sent) -> None:
    """Which items have failed where they were extracted, so that nobody tries them here unasked."""
    index = stage.store.index()
    new = [one for source, one in index.failures.items() if source not in before and source not in index.rows]
    if new:
        again = f"--override {stage.retry_field}={max(one['retry'] for one in new) + 1} tries them here"
        such = f"{new[0]['id']}: {new[0]['reason']}"
        sent.notes.append(f"{len(new)} {stage.holds[0]} failed where they were extracted, such as {such}; {again}")
