"""What a run would do, from the same keys and completeness checks that the scheduler uses."""

from __future__ import annotations

from typing import Any

from pipeline import publish
from pipeline.gather import Gather, Pack
from pipeline.stage import Experiment, Stage


def status(experiment: Experiment, stages: list[type[Stage]]) -> list[dict[str, Any]]:
    """The state of each stage that has a result of its own, in the order given.

    Returns:
        [{"stage", "state", "will_run", "may_run", "reasons", "key"}]. States: `fresh`; `missing`, never made;
        `stale`, made under another key; `dropped`, gone but not needed. A stage behind one that runs `may_run`:
        its key is known only then, and may turn out to be that of a result there is.
    """
    wanted = _wanted([stage.of(experiment) for stage in stages])
    rows = []
    for stage in (stage.of(experiment) for stage in stages):
        if isinstance(stage, Pack):
            continue
        key, complete = stage.key(), stage.complete()
        needed = stage.name in wanted
        row = {"stage": stage.name, "will_run": False, "may_run": False, "reasons": [], "key": key}
        if complete:
            row["state"] = "fresh"
        elif not needed:
            row["state"] = "dropped"
        else:
            recipe = stage.packs.of(stage).recipe() if isinstance(stage, Gather) else stage.recipe()
            nearest = _nearest(stage, recipe)
            row |= {"state": "stale" if nearest else "missing", "will_run": key is not None, "may_run": True}
            if nearest and recipe:
                row["reasons"] = reasons(nearest, recipe)
            if key is None:
                behind = [t.name for t in stage.requires() if not t.complete()]
                row["reasons"] += [{"what": "input", "field": name, "old": None, "new": None} for name in behind]
        rows.append(row)
    return rows


def _wanted(stages: list[Stage]) -> set[str]:
    """Luigi never visits the inputs of a done task: what is not reached from the last stage is not needed."""
    wanted, todo = set(), stages[-1:]
    while todo:
        stage = todo.pop()
        if stage.name not in wanted and not stage.complete():
            wanted.add(stage.name)
            todo += stage.requires()
    return wanted


def _earlier(stage: Stage) -> list[dict]:
    """Recipes of earlier results, the newest first; of a Gather those of the stores of its packs."""
    if not isinstance(stage, Gather):
        return [manifest["recipe"] for manifest in stage.artifacts.newest(stage.name)]
    stores = (stage.artifacts.root / "stores").glob(f"{stage.packs.__name__}-*/store.json")
    return [store["spec"] for path in stores if (store := publish.read_json(path))]


def _nearest(stage: Stage, recipe: dict | None) -> dict | None:
    """The earlier recipe that differs least from the present one; of equals the newest."""
    earlier = _earlier(stage)
    if recipe is None:
        return earlier[0] if earlier else None
    return min(earlier, key=lambda old: len(reasons(old, recipe)), default=None)


def reasons(old: dict, new: dict) -> list[dict[str, Any]]:
    """What differs between two recipes: [{"what": "config", "field": "train.lr", "old": …, "new": …}]."""
    found = []
    for what, label in (("config", "config"), ("inputs", "input"), ("outside", "source")):
        before, now = old.get(what, {}), new.get(what, {})
        for field in sorted(before.keys() | now.keys()):
            if before.get(field) != now.get(field):
                found.append({"what": label, "field": field, "old": before.get(field), "new": now.get(field)})
    for what in ("version", "code"):
        if old.get(what) != new.get(what):
            found.append({"what": what, "field": what, "old": old.get(what), "new": new.get(what)})
    return found
