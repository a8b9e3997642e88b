"""Features of many items: a Gather plans packs and waits for them; each Pack publishes one shard.

A pack is a request: it is complete when its items are covered, by whatever shards, and computes what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import luigi

from pipeline import publish
from pipeline.keys import digest
from pipeline.stage import Stage
from pipeline.stores import Item, Store


class Pack(Stage):
    """Some items of one spec. The recipe of the class, without items, is the spec of its store."""

    plan = luigi.Parameter(default="", significant=False, description="the plan's file, in the artifacts folder")
    number = luigi.IntParameter(default=-1, significant=False, description="which pack of the plan")
    retry_field: ClassVar[str | None] = None
    """The config field that holds the retry number, if items can fail."""

    def write(self, path: Path, key: str, items: list[Item]) -> dict:
        """Write the shard of these items; returns what `Store.publish_shard` says."""
        raise NotImplementedError

    @classmethod
    def pack(cls, other: Stage, plan: str, number: int, items: list[Item]) -> Self:
        """A pack of a plan. Its Luigi id is the same in all processes, so that a luigid shares packs among them."""
        spec = cls.of(other)
        identity = [spec.artifacts.id, spec.store.spec_digest, sorted(d for _, d in items), spec.retry]
        return cls(experiment=other.experiment, id=digest(identity)[:16], plan=plan, number=number)

    @classmethod
    def like(cls, other: Pack) -> Self:
        """The pack of this class for the same items."""
        return cls.pack(other, other.plan, other.number, other.items)

    @cached_property
    def items(self) -> list[Item]:
        """The pack's items; none for the pack that only stands for the spec, see `Stage.of`."""
        if self.number < 0:
            return []
        plan = publish.read_json(self.artifacts.root / self.plan)
        if plan is None:
            raise ValueError(f"the plan {self.plan} is gone or damaged; run the same command again")
        return [(name, source) for name, source in plan[self.number]]

    @property
    def store(self) -> Store:
        """The store of the pack's spec; one object a process, because it remembers manifests."""
        spec = self.recipe()
        return self.experiment.stores.setdefault(digest(spec), self.artifacts.store(spec))

    @property
    def retry(self) -> int:
        if self.retry_field is None:
            return 0
        section, field = self.retry_field.split(".")
        return getattr(getattr(self.config, section), field)

    def missing(self) -> list[Item]:
        """The items that no shard holds and that have not failed at this retry number."""
        index = self.store.index()
        return [item for item in self.items if not index.settled(item[1], self.retry)]

    def complete(self) -> bool:
        return self.recipe() is not None and not (self.items and self.missing())

    def run(self) -> None:
        with self.artifacts.lock(f"{self.name}-{self.id}"):
            missing = self.missing()
            if missing:
                self.log("start", items=len(missing))
                started = time.time()
                self.store.publish_shard(
                    missing, self.retry, lambda path, key: self.write(path, key, missing), self.provenance()
                )
                self.log("ran", items=len(missing), seconds=round(time.time() - started, 3))


class Gather(Stage):
    """Completes the features of all items that its inputs name, pack by pack."""

    _wanted: tuple[dict, dict] | None = None
    packs: ClassVar[type[Pack]]
    most_failures: ClassVar[str | None] = None
    """The config field that holds the largest share of failed items."""

    def wanted_in(self, files: dict[str, Path]) -> dict[str, list[Item]]:
        """The items of each part (a split), read from the files that `needs()` names."""
        raise NotImplementedError

    def wanted(self) -> dict[str, list[Item]] | None:
        """The items of each part; None while the inputs are not there."""
        files = {}
        for stage, part in self.needs():
            payload = stage.of(self).payload()
            if payload is None:
                return None
            files[part] = payload / part
        # payloads never change, so that what was read of these files stays right
        if self._wanted is None or self._wanted[0] != files:
            self._wanted = files, self.wanted_in(files)
        return self._wanted[1]

    @property
    def store(self) -> Store:
        return self.packs.of(self).store

    @property
    def retry(self) -> int:
        return self.packs.of(self).retry

    def requires(self) -> list[Stage]:
        """Its own inputs, and those of its packs: without these the spec is not known."""
        return [*super().requires(), *self.packs.of(self).requires()]

    def ready(self) -> bool:
        return self.packs.of(self).recipe() is not None and self.wanted() is not None

    def items(self) -> list[Item]:
        return [item for part in self.wanted().values() for item in part]

    def _record(self) -> Path:
        wanted = {part: sorted(map(list, items)) for part, items in self.wanted().items()}
        return self.store.record(digest([wanted, self.retry]))

    def held(self) -> dict[str, list[Item]]:
        """The items of each part that have rows now."""
        rows = self.store.index().rows
        return {part: [item for item in items if item[1] in rows] for part, items in self.wanted().items()}

    def identity(self, part: str = "") -> Any | None:
        """Row identity: digest of the spec and the sorted (id, source digest) of the rows there are.

        If rows have gone since the gather recorded them, what it recorded: deleting features makes nothing stale.
        """
        if not self.ready():
            return None
        recorded = publish.read_json(self._record())
        if recorded is None:
            return None
        rows = sorted(map(list, self.held()[part]))
        if not {source for _, source in recorded[part]} <= {source for _, source in rows}:
            rows = recorded[part]
        return digest({"spec": self.store.spec_digest, "rows": rows})

    def result(self, part: str) -> dict[str, Path]:
        """The shard that holds each item of a part, by source digest; items without rows are left out."""
        rows = self.store.index().rows
        return {source: rows[source] for _, source in self.wanted()[part] if source in rows}

    def complete(self) -> bool:
        if not self.ready() or not self._record().exists():
            return False
        index = self.store.index()
        return all(index.settled(source, self.retry) for _, source in self.items())

    def run(self) -> Iterator[list[luigi.Task]]:
        """Yield the packs of the plan as one list, and of the next plan should rows go missing meanwhile."""
        self.experiment.recipes.clear()
        items = self.items()
        for attempt in range(100):
            index = self.store.index()
            if all(index.settled(source, self.retry) for _, source in items):
                break
            place, packs = self.store.plan(items, self.retry, attempt, self.experiment.config.pipeline.shard_size)
            plan = place.relative_to(self.artifacts.root).as_posix()
            yield [self.packs.pack(self, plan, number, pack) for number, pack in enumerate(packs)]
        self._check_failures()
        self.log("ran", items=len(items), seconds=0.0)
        publish.replace_json(self._record(), {p: sorted(map(list, rows)) for p, rows in self.held().items()})

    def failures(self) -> list[dict]:
        """The items without rows: [{"id", "digest", "reason", "retry"}], sorted by id."""
        index = self.store.index()
        failed = [(name, index.failures[d]) for name, d in self.items() if d not in index.rows and d in index.failures]
        return [{**failure, "id": name} for name, failure in sorted(failed, key=lambda pair: pair[0])]

    def _check_failures(self) -> None:
        failures, items = self.failures(), self.items()
        for failure in failures:
            self.log("warning", reason=f"{failure['id']}: {failure['reason']}; it is left out")
        if self.most_failures is not None:
            section, field = self.most_failures.split(".")
            most = getattr(getattr(self.config, section), field)
            if len(failures) > most * len(items):
                raise ValueError(
                    f"{len(failures)} of {len(items)} items failed, more than {self.most_failures} = {most} allows; "
                    f"the first: {failures[0]['id']}: {failures[0]['reason']}. Repair or remove them, "
                    f"or allow more: --override {self.most_failures}=1"
                )
        if items and len(failures) == len(items):
            raise ValueError(f"all {len(items)} items failed; the first: {failures[0]['id']}: {failures[0]['reason']}")
