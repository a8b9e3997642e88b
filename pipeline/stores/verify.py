"""Verifying stores: whether shards are what their manifests say, and whether those agree that hold the same items."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tqdm import tqdm

from videocap.pipeline.stores.store import Store

Check = Callable[[Path, dict, dict], list[str]]
"""What is wrong with a shard's file, given its manifest and spec, as `extract.shards.checks.check_shard`."""
MOST_THREADS = 8
"""Threads that check shards: each holds a piece of one."""


class Deviation(Protocol):
    """How far an item's rows in two shards are apart, as `extract.shards.checks.Deviation`; as text, too."""

    wrong: str | None
    """What is more than the contract allows."""
    measure: str
    value: float
    far: float
    """The larger, the farther; not finite where they can't be compared."""


Measure = Callable[[Path, Path, str], Deviation | None]
"""The deviation of an item (its digest) in two shards; None if they are equal. See `extract.shards.checks.measurer`."""


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
    overlap: dict[str, Any] = field(default_factory=dict)
    """Of the items that another shard holds, too, which counts: how many "items", how many are "unequal" and, if any
    are, the largest deviation under the name of its measure. Empty if there are no such items."""
    disputed: set[str] = field(default_factory=set)
    """Digests of the items that shards hold with rows that differ by more than the contract allows."""

    def told(self) -> dict[str, Any]:
        """For a program: the above as JSON, without manifests and digests."""
        told = vars(self) | {"folder": str(self.folder)}
        return {name: value for name, value in told.items() if name not in ("sound", "disputed")}


def verify(folders: Sequence[Path], check: Check) -> list[Verdict]:
    """Check every shard of these stores, whatever is found, several at once; reads each file twice.

    Shows a progress bar. Interrupted, it ends with the shards that are being read.
    """
    stores = {folder: Store.open(folder) for folder in folders}
    verdicts = {folder: _look_at(folder, store) for folder, store in stores.items()}
    shards = [(store, place) for store in stores.values() if store for place in store.manifests().items()]
    total = sum(manifest["size"] for _, (_, manifest) in shards)
    threads = ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1))  # reading and sha256 leave Python to others
    try:
        found = threads.map(lambda shard: _check_shard(*shard, check), shards)
        with tqdm(total=total, desc="verify", unit="B", unit_scale=True, disable=None) as bar:
            for (store, (_, manifest)), problems in zip(shards, found, strict=True):
                bar.update(manifest["size"])
                if problems is not None:
                    verdict = verdicts[store.folder]
                    verdict.problems += problems
                    verdict.sound += [] if problems else [manifest]
                    verdict.shards, verdict.size = verdict.shards + 1, verdict.size + manifest["size"]
    finally:
        threads.shutdown(cancel_futures=True)
    for verdict in verdicts.values():
        verdict.items = len({source for manifest in verdict.sound for source in manifest["digests"]})
    return list(verdicts.values())


def _look_at(folder: Path, store: Store | None) -> Verdict:
    """What the names and manifests in a store's folder tell."""
    verdict = Verdict(folder)
    if store is None:
        files = [path for path in folder.iterdir() if path.suffix in (".h5", ".json")]
        says = "is damaged" if folder / "store.json" in files else "is missing"
        cure = "copy it from where the store came from; else delete it, and the next run that adds a shard writes it"
        if files:  # none: a run was killed before it made the first shard
            verdict.problems.append(f"{folder / 'store.json'} {says}, so no shard beside it can be checked: {cure}")
        return verdict
    others, loose = store.strays()
    if others and not store.manifests():
        verdict.notes.append(f"{folder / 'store.json'} has another spec than all manifests: is it the wrong one?")
    for name in others:
        cure = "delete it, and the next run makes its shard anew; what was imported, import again"
        verdict.problems.append(f"{folder / name} is no manifest of a shard of the spec in store.json; {cure}")
    if loose:
        named = ", ".join(loose[:3]) + f" and {len(loose) - 3} more" * (len(loose) > 3)
        verdict.notes.append(f"no manifest names {named}: a killed run leaves such")
    return verdict


def _check_shard(store: Store, named: tuple[str, dict], check: Check) -> list[str] | None:
    """The problems of the shard of a manifest (its name, and it); None if another process has deleted it meanwhile."""
    place, manifest = store.folder / named[0], named[1]
    payload = store.folder / manifest["payload"]
    try:
        return check(payload, manifest, store.spec)
    except FileNotFoundError:
        cure = f"delete {place.name}, and the next run makes both anew; what was imported, import again"
        gone = f"{payload} is gone, which {place.name} names; {cure}"
        return [gone] if place.exists() else None
    except OSError as error:
        return [f"{payload} can't be read ({error.strerror}); let it be read, or delete it and {place.name}"]


class _Copy(NamedTuple):
    """An item in a shard that is in another one, too, which counts."""

    name: str
    source: str
    payload: Path
    counts: Path
    same: bool
    """Whether the shards have one content."""


def compare_copies(verdicts: Sequence[Verdict], measure: Measure) -> None:
    """Compare items that several sound shards of a spec hold; adds to the verdicts on the stores of the other copies.

    The first store's shard of the smallest key counts. It is a problem if other rows differ from its by more than the
    contract allows. Shards of one content are not read.
    """
    copies = _copies(verdicts)
    total = sum(not copy.same for found in copies for copy in found)
    with tqdm(total=total, desc="compare", unit="item", disable=None if total else True) as bar:
        for verdict, found in zip(verdicts, copies, strict=True):
            _compare_some(verdict, found, measure, bar.update)
    disputed = {source for verdict in verdicts for source in verdict.disputed}
    for verdict in verdicts:
        verdict.disputed = disputed


def _copies(verdicts: Sequence[Verdict]) -> list[list[_Copy]]:
    """For each store, the items in its sound shards that another shard before holds."""
    first: dict[tuple[str, str], tuple[Path, str]] = {}
    copies: list[list[_Copy]] = [[] for _ in verdicts]
    for verdict, found in zip(verdicts, copies, strict=True):
        for manifest in verdict.sound:
            mine = verdict.folder / manifest["payload"], manifest["content"]
            names = manifest.get("ids") or manifest["digests"]  # the first manifests had no ids
            for source, name in dict(zip(manifest["digests"], names, strict=True)).items():
                counts = first.setdefault((manifest["spec"], source), mine)
                if counts != mine:
                    found.append(_Copy(name, source, mine[0], counts[0], counts[1] == mine[1]))
    return copies


def _compare_some(verdict: Verdict, copies: list[_Copy], measure: Measure, advance: Callable[[], object]) -> None:
    """Compare a store's copies with those that count, and say in its verdict what came of it."""
    unequal: list[tuple[_Copy, Deviation]] = []
    missed = []
    for copy in copies:
        if not copy.same:
            advance()
            try:
                deviation = measure(copy.counts, copy.payload, copy.source)
            except (OSError, ValueError) as error:  # another process has deleted one meanwhile
                missed.append(f"{shown(copy.name)}: {error}")
            else:
                unequal += [(copy, deviation)] if deviation else []
    if copies:
        items, others = (len({copy.source for copy in some}) for some in (copies, [copy for copy, _ in unequal]))
        verdict.overlap = {"items": items, "unequal": others}
        told = f"held by more than one shard: {items} item" + "s" * (items != 1)
        if measured := [one for one in unequal if math.isfinite(one[1].far)]:
            copy, most = max(measured, key=lambda one: one[1].far)
            verdict.overlap[most.measure] = most.value
            told += f", of which {others} differ{'s' * (others == 1)}, the most by {most} ({shown(copy.name)})"
        verdict.notes.append(told + ", with equal rows" * (not unequal and not missed))
        verdict.notes += [f"not compared: {len(missed)} of these, among them {missed[0]}"] if missed else []
    beyond = [one for one in unequal if one[1].wrong]
    verdict.disputed = {copy.source for copy, _ in beyond}
    for payload, same in groupby(beyond, lambda one: one[0].payload):
        (copy, deviation), *others = same
        more = f", and {len(others)} more that differ too far" * bool(others)
        cure = "--recompute tells which is right, and makes such items before others; delete the shard that is not"
        wrong = f"holds {shown(copy.name)} with other rows than {copy.counts}, which counts ({deviation.wrong}){more}"
        verdict.problems.append(f"{payload} {wrong}; {cure}")


def shown(name: str) -> str:
    """An id or a text in quotes, cut where it is long."""
    return repr(name if len(name) <= 60 else f"{name[:59]}…")
