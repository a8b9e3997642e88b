"""Recomputing: whether the rows of stores come out again from their sources."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from videocap.pipeline import words
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stages.reasons import differences
from videocap.pipeline.stages.spec import Spec
from videocap.pipeline.stores.imported import is_foreign
from videocap.pipeline.stores.store import Index, Store
from videocap.pipeline.stores.verify import Verdict, shown

Differs = Callable[[Path, Path, str], str | None]
"""How an item's rows (its digest) in one shard differ from those in another, as `extract.shards.checks.differs`."""


def recompute(verdicts: Sequence[Verdict], experiment: Experiment, count: int, differs: Differs, named: bool) -> None:
    """Make random items of each store again from their sources, and compare; adds to the verdicts.

    Of stores whose spec is one of the experiment's, up to `count` items each, first those that are disputed.
    It is a problem if rows differ, or if none of a store's items could be made again.

    Args:
        experiment: its config decides how rows are made, and where their sources are.
        named: whether a person asked for just these stores: then it is a problem if one is of another spec.
    """
    specs = [stage for stage in experiment.nodes() if stage.holds]
    for verdict in verdicts:
        if verdict.sound:
            spec = Store.open(verdict.folder).spec
            same = next((one for one in specs if one.recipe.settled() == spec), None)
            if same:
                _recompute_some(verdict, same, count, differs)
            else:
                why = f"not recomputed: {_unlike(spec, specs)}"
                (verdict.problems if named and not is_foreign(spec) else verdict.notes).append(why)


def _unlike(spec: dict, specs: Sequence[Spec]) -> str:
    """Why the experiment makes no rows of a store's spec."""
    if is_foreign(spec):
        return "made elsewhere"
    named = next((one for one in specs if one.name == spec.get("stage")), None)
    if named is None:
        return f"the experiment has no stage {spec.get('stage')}"
    return f"its spec is not the experiment's ({words.reasons(differences(spec, named.recipe.draft()), most=9)})"


def _recompute_some(verdict: Verdict, spec: Spec, count: int, differs: Differs) -> None:
    """Make some items of a store again; which, nobody could know before."""
    called = {source: name for name, source in spec.gather.rows.items() or ()}  # others' items lie there, too
    choice = []
    for manifest in verdict.sound:
        names = manifest.get("ids") or [None] * len(manifest["digests"])  # the first manifests had no ids
        for name, source in zip(names, manifest["digests"], strict=True):
            if name := called.get(source, name):
                choice.append((name, source, verdict.folder / manifest["payload"]))
    choice = [one for one in choice if one[1] in called] or choice
    mixed = random.SystemRandom().sample(choice, len(choice))
    chosen = sorted(mixed, key=lambda one: one[1] not in verdict.disputed)[:count]
    missed = []
    for number, (name, source, payload) in enumerate(chosen):
        with tempfile.TemporaryDirectory(prefix="verify-") as folder:  # the artifacts may be another's, to read only
            again = Path(folder) / "again.h5"
            why = remade(spec, again, (name, source), f"again {number + 1}/{len(chosen)}")
            if why:
                missed.append(f"not checked: {shown(name)}: {why}")
                continue
            verdict.recomputed += 1
            if difference := differs(payload, again, source):
                wrong = f"does not hold what its spec says ({shown(name)}, made again: {difference})"
                verdict.problems.append(f"{payload} {wrong}; delete it, and the next run makes it anew")
    verdict.notes += missed
    if chosen and not verdict.recomputed:
        verdict.problems.append(f"none of {len(chosen)} {spec.holds[0]} could be recomputed")


def remade(spec: Spec, path: Path, item: tuple[str, str], part: str) -> str | None:
    """Write a shard of one item, from its source itself; why that was not possible, if it was not."""
    try:
        inputs = spec.inputs()
        inputs |= {"before": Index()} if spec.after else {}
        shard = {"key": spec.recipe.key, "spec": spec.recipe.settled(), "items": [item], "part": part}
        made = spec.function()(path, spec.config, **shard, **inputs)
    except (OSError, ValueError) as error:  # gone, or not the same any more: that says nothing about the store
        return str(error)
    return made["failures"][0]["reason"] if made["failures"] else None
