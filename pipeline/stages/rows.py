"""Rows: which items a gather wants, which of them its store holds, and which have failed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from videocap.pipeline.artifacts import publish
from videocap.pipeline.artifacts.outside import stat_or_none
from videocap.pipeline.artifacts.shapes import is_known
from videocap.pipeline.digests import digest
from videocap.pipeline.functions import named
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stages.graph import Kind
from videocap.pipeline.stores.plans import read_record
from videocap.pipeline.stores.store import Item
from videocap.pipeline.words import MOST_TOLD

MEMO = 5  # raised when other things are to be remembered


class Gathers(Protocol):
    """What is asked here of a gather."""

    experiment: Experiment
    lists: str
    most_failures: str | None

    @property
    def spec(self) -> Any: ...

    def needs(self) -> Mapping[str, tuple[Kind, str]]: ...

    def field(self, name: str) -> Any: ...


class Rows:
    """The items of a gather's parts, and their rows."""

    def __init__(self, gather: Gathers):
        self.gather = gather
        self._wanted: tuple[dict, dict] | None = None

    @property
    def key(self) -> str | None:
        """Digest of the spec, of what is wanted, and of the retry number; None while an input has no identity."""
        spec, find = self.gather.spec, self.gather.experiment.node
        inputs = [find(kind).product.identity(part) for kind, part in self.gather.needs().values()]
        if spec.recipe.settled() is None or None in inputs:
            return None
        return digest([spec.store.spec_digest, inputs, spec.retry])

    def wanted(self) -> dict[str, list[Item]] | None:
        """The items of each part; None while the inputs are not there."""
        files = {}
        for name, (kind, part) in self.gather.needs().items():
            payload = self.gather.experiment.node(kind).product.payload()
            if payload is None:
                return None
            files[name] = payload / part
        # payloads never change, so that what was read of these files stays right
        if self._wanted is None or self._wanted[0] != files:
            items_in = named(self.gather.lists)
            self._wanted = files, {part: items_in(file) for part, file in files.items()}
        return self._wanted[1]

    def items(self) -> list[Item] | None:
        """The items of all parts; None while the inputs are not there."""
        wanted = self.wanted()
        return None if wanted is None else [item for part in wanted.values() for item in part]

    def ready(self) -> bool:
        """Whether it is known which items are wanted, and under which spec."""
        return self.key is not None and self.wanted() is not None

    def record(self) -> Path:
        """Where the gather records what it last held: {part: [[id, digest], …]}."""
        return self.gather.spec.store.folder / "gathers" / f"{self.key[:32]}.json"

    def held(self) -> dict[str, list[list[str]]]:
        """The items of each part that have rows now, sorted."""
        rows = self.gather.spec.store.index().rows
        return {part: sorted([n, d] for n, d in items if d in rows) for part, items in self.wanted().items()}

    def settled(self) -> bool:
        """Whether each item has its rows, or has failed at the retry number."""
        return not self.gather.spec.store.index().lacking(self.items(), self.gather.spec.retry)

    def failures(self) -> list[dict]:
        """The items without rows: [{"id", "digest", "reason", "retry"}], sorted by id."""
        index = self.gather.spec.store.index()
        failed = [(name, index.failures[d]) for name, d in self.items() if d not in index.rows and d in index.failures]
        return [{**failure, "id": name} for name, failure in sorted(failed, key=lambda pair: pair[0])]

    def most(self) -> float:
        """The largest share of items that may fail."""
        return self.gather.field(self.gather.most_failures) if self.gather.most_failures else 1.0

    def too_many(self, failures: list[dict]) -> bool:
        """Whether more items failed than are allowed, or all did."""
        items = self.items()
        return len(failures) > self.most() * len(items) or (bool(items) and len(failures) == len(items))

    def again(self, failures: list[dict]) -> str:
        """The override by which they are tried once more."""
        return f"{self.gather.spec.retry_field}={max(failure['retry'] for failure in failures) + 1}"

    def known(self) -> dict[str, Any] | None:
        """What recorded rows and shards say; None while the key is not known.

        {"recorded": whether a run has gathered this, "settled": whether no item is missing and not too many failed,
        "codes": digests of the code that made the shards, "failed": the first of the items that failed, "failures":
        how many did, "again": the override that tries them once more, "counted": what else there is to tell (see
        `Spec.counted`), "identities": of the rows of each part, null where the gather has neither been recorded nor is
        settled}.
        Remembered in the store under the names of its files and the sizes of its manifests, so that a run that has
        nothing to do reads no table of items and no manifest.
        """
        if self.key is None:
            return None
        spec, parts = self.gather.spec, self.gather.needs()
        store = spec.store
        about = [MEMO, self.key, stat_or_none(self.record()), self.most(), store.signature()]
        memo = store.folder / "memo" / f"{digest(about)[:32]}.json"
        known = publish.read_json(memo)
        if is_known(known, parts):
            return known
        if not self.ready():
            return None
        before, rows, failures = read_record(self.record()), self.held(), self.failures()
        settled = self.settled() and (bool(before) or not self.too_many(failures))
        for part in before.keys() & rows.keys():  # what has gone since makes nothing stale
            if not {source for _, source in before[part]} <= {source for _, source in rows[part]}:
                rows[part] = before[part]
        known = {
            "recorded": bool(before),
            "settled": settled,
            "codes": sorted(filter(None, store.index().codes)),
            "failed": failures[:MOST_TOLD],
            "failures": len(failures),
            "again": self.again(failures) if failures else "",
            "counted": spec.counted(),
            "identities": {part: self.identity_of(rows[part]) for part in rows} if before or settled else None,
        }
        if store.folder.is_dir():  # who only asks makes no store
            known = publish.remember_json(memo, known, lambda there: is_known(there, parts))
        return known

    def identity_of(self, rows: list[list[str]]) -> str:
        """Digest of the spec and the sorted (id, source digest) of some rows."""
        return digest({"spec": self.gather.spec.store.spec_digest, "rows": rows})
