"""Verifying stores: whether shards are what their manifests say, and whether rows come out again from the sources."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipeline.experiment import Experiment
from pipeline.foreign import is_foreign
from pipeline.pack import Pack
from pipeline.reasons import differences, sentence
from pipeline.stores import Index, Store

Check = Callable[[Path, dict, dict], list[str]]
"""What is wrong with a shard's file, given its manifest and spec, as `extract.verify.check_shard`."""
Differs = Callable[[Path, Path, str], str | None]
"""How an item's rows (its digest) in one shard differ from those in another, as `extract.verify.differs`."""


@dataclass
class Verdict:
    """What was found of a store. Without problems it is sound."""

    folder: Path
    shards: int = 0
    """How many there are."""
    size: int = 0
    """Their bytes."""
    items: int = 0
    recomputed: int = 0
    """How many items were made again, and compared."""
    problems: list[str] = field(default_factory=list)
    """Sentences that name the file and say what to do."""
    notes: list[str] = field(default_factory=list)
    """What is no problem, or could not be told."""
    sound: list[dict] = field(default_factory=list)
    """The manifests of the shards that are."""

    def told(self) -> dict[str, Any]:
        """For a program: the above as JSON, without manifests."""
        return {name: value for name, value in vars(self).items() if name != "sound"} | {"folder": str(self.folder)}


def verify(folders: Sequence[Path], check: Check) -> list[Verdict]:
    """Check every shard of these stores, whatever is found; reads each file twice. Shows a progress bar."""
    stores = {folder: Store.open(folder) for folder in folders}
    total = sum(store.index().size for store in stores.values() if store)
    with tqdm(total=total, desc="verify", unit="B", unit_scale=True, disable=None) as bar:
        return [_check_store(folder, store, check, bar.update) for folder, store in stores.items()]


def _check_store(folder: Path, store: Store | None, check: Check, advance: Callable[[int], object]) -> Verdict:
    verdict = Verdict(folder)
    if store is None:
        files = [path for path in folder.iterdir() if path.suffix in (".h5", ".json")]
        says = "is damaged" if folder / "store.json" in files else "is missing"
        cure = "copy it from where the store came from; else delete it, and the next run that adds a shard writes it"
        if files:  # none: a run was killed before it made the first shard
            verdict.problems.append(f"{folder / 'store.json'} {says}, so no shard beside it can be checked: {cure}")
        return verdict
    shards, (others, loose) = store.manifests(), store.strays()
    if others and not shards:
        verdict.notes.append(f"{folder / 'store.json'} has another spec than all manifests: is it the wrong one?")
    for name in others:
        cure = "delete it, and the next run makes its shard anew; what was imported, import again"
        verdict.problems.append(f"{folder / name} is no manifest of a shard of the spec in store.json; {cure}")
    if loose:
        named = ", ".join(loose[:3]) + f" and {len(loose) - 3} more" * (len(loose) > 3)
        verdict.notes.append(f"no manifest names {named}: a killed run leaves such")
    for name, manifest in shards.items():
        problems = _check_shard(folder / name, manifest, store.spec, check)
        if problems is None:
            continue
        verdict.problems += problems
        verdict.sound += [] if problems else [manifest]
        verdict.shards, verdict.size = verdict.shards + 1, verdict.size + manifest["size"]
        advance(manifest["size"])
    verdict.items = len({source for manifest in verdict.sound for source in manifest["digests"]})
    return verdict


def _check_shard(place: Path, manifest: dict, spec: dict, check: Check) -> list[str] | None:
    """The problems of the shard with this manifest; None if another process has deleted it meanwhile."""
    payload = place.with_name(manifest["payload"])
    try:
        return check(payload, manifest, spec)
    except FileNotFoundError:
        cure = f"delete {place.name}, and the next run makes both anew; what was imported, import again"
        gone = f"{payload} is gone, which {place.name} names; {cure}"
        return [gone] if place.exists() else None
    except OSError as error:
        return [f"{payload} can't be read ({error.strerror}); let it be read, or delete it and {place.name}"]


def recompute(verdicts: Sequence[Verdict], experiment: Experiment, count: int, differs: Differs, named: bool) -> None:
    """Make random items of each store again from their sources, and compare; adds to the verdicts.

    Of stores whose spec is that of a pack of the experiment, up to `count` items each. It is a problem if rows differ,
    or if none of a store's items could be made again.

    Args:
        experiment: its config decides how rows are made, and where their sources are.
        named: whether a person asked for just these stores: then it is a problem if one is of another spec.
    """
    packs = [kind.of(experiment) for kind in experiment.order if issubclass(kind, Pack)]
    for verdict in verdicts:
        if verdict.sound:
            spec = Store.open(verdict.folder).spec
            pack = next((pack for pack in packs if pack.recipe() == spec), None)
            if pack:
                _recompute_some(verdict, pack, count, differs)
            else:
                why = f"not recomputed: {_unlike(spec, packs)}"
                (verdict.problems if named and not is_foreign(spec) else verdict.notes).append(why)


def _unlike(spec: dict, packs: Sequence[Pack]) -> str:
    """Why no pack makes rows of a spec."""
    if is_foreign(spec):
        return "made elsewhere"
    pack = next((pack for pack in packs if pack.name == spec.get("stage")), None)
    if pack is None:
        return f"the experiment has no stage {spec.get('stage')}"
    return f"its spec is not the experiment's ({sentence(differences(spec, pack.draft()), most=9)})"


def _recompute_some(verdict: Verdict, pack: Pack, count: int, differs: Differs) -> None:
    """Make some items of a store again; which, nobody could know before."""
    called = {source: name for name, source in pack.gather.of(pack).items() or ()}  # others' items lie there, too
    choice = []
    for manifest in verdict.sound:
        names = manifest.get("ids") or [None] * len(manifest["digests"])  # the first manifests had no ids
        for name, source in zip(names, manifest["digests"], strict=True):
            if name := called.get(source, name):
                choice.append((name, source, verdict.folder / manifest["payload"]))
    choice = [one for one in choice if one[1] in called] or choice
    chosen = random.SystemRandom().sample(choice, min(count, len(choice)))
    missed = []
    for number, (name, source, payload) in enumerate(chosen):
        with tempfile.TemporaryDirectory(prefix="verify-") as folder:  # the artifacts may be another's, to read only
            again = Path(folder) / "again.h5"
            why = _make(pack, again, (name, source), f"again {number + 1}/{len(chosen)}")
            if why:
                missed.append(f"not checked: {_shown(name)}: {why}")
                continue
            verdict.recomputed += 1
            if difference := differs(payload, again, source):
                wrong = f"does not hold what its spec says ({_shown(name)}, made again: {difference})"
                verdict.problems.append(f"{payload} {wrong}; delete it, and the next run makes it anew")
    verdict.notes += missed
    if chosen and not verdict.recomputed:
        verdict.problems.append(f"none of {len(chosen)} {pack.holds[0]} could be recomputed")


def _make(pack: Pack, path: Path, item: tuple[str, str], part: str) -> str | None:
    """Write a shard of one item, from its source itself; why that was not possible, if it was not."""
    try:
        inputs = pack.inputs()
        inputs |= {"before": Index()} if pack.after else {}
        made = pack.function()(path, pack.config, key=pack.key(), spec=pack.recipe(), items=[item], part=part, **inputs)
    except (OSError, ValueError) as error:  # gone, or not the same any more: that says nothing about the store
        return str(error)
    return made["failures"][0]["reason"] if made["failures"] else None


def _shown(name: str) -> str:
    """An id or a text in quotes, cut where it is long."""
    return repr(name if len(name) <= 60 else f"{name[:59]}…")
