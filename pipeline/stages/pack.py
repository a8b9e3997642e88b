"""Pack: some items of one spec, published as one shard.

A pack is a request: it is complete when its items are covered, by whatever shards, and computes what is missing.
"""

from __future__ import annotations

import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import luigi
from rich.filesize import decimal

from videocap.pipeline.artifacts import events
from videocap.pipeline.digests import digest
from videocap.pipeline.stages.reasons import Earlier, Reason, waiting
from videocap.pipeline.stages.stage import Stage
from videocap.pipeline.stores.store import Item, Store, read_plan
from videocap.pipeline.words import duration

if TYPE_CHECKING:
    from videocap.pipeline.stages.gather import Gather


class Pack(Stage):
    """Some items of one spec. The recipe of the class, without items, is the spec of its store.

    A pack may come `after` another one, whose shards it reads: that one then computes only items that have no
    result here yet, and its shards can be dropped once they have.
    """

    after: ClassVar[type[Pack] | None] = None
    """The pack whose shards this one reads."""
    then: ClassVar[type[Pack] | None] = None
    """The pack that reads this one's shards; set by that one."""
    gather: ClassVar[type[Gather]]
    """The stage that asks for the packs; set by that one."""
    holds: ClassVar[tuple[str, str]] = ("items", "rows")
    """What a person calls its items and their rows."""
    retry_field: ClassVar[str | None] = None
    """The config field that holds the retry number, if items can fail."""
    keep_field: ClassVar[str | None] = None
    """The config field that says whether shards are kept once the pack behind has read them."""
    quiet: ClassVar[tuple[str, ...]] = (*Stage.quiet, "start")
    bulk: ClassVar[int] = 1
    """How many times `shard_size` items make a shard: more for small items."""

    plan = luigi.Parameter(default="", significant=False, description="the plan's file, in the artifacts folder")
    number = luigi.IntParameter(default=-1, significant=False, description="which pack of the plan")

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if cls.after is not None:
            cls.after.then = cls

    def largest(self) -> tuple[int, int]:
        """The most rows that an item has, and the most bytes of a row."""
        return 1, 0

    def certain(self) -> bool:
        """Whether most items are about as large as the largest may be."""
        return True

    def remarks(self) -> list[str]:
        """What a person is told of the shards whenever they are used."""
        return []

    def write(self, path: Path, key: str, items: list[Item]) -> dict:
        """Call `makes`, which for a pack is `function(path, config, key, spec, items, part, **inputs)`."""
        part = f"{self.number + 1}/{self.of_packs}"
        shard = {"key": key, "spec": self.recipe(), "items": items, "part": part}
        return self.function()(path, self.config, **shard, **self.inputs())

    def inputs(self) -> dict[str, Any]:
        """As a stage's; and what the pack before has, as `before`."""
        return super().inputs() | ({"before": self.after.of(self).store.index()} if self.after else {})

    def upstream(self) -> list[type[Stage]]:
        return super().upstream() + ([self.after] if self.after else [])

    @classmethod
    def pack(cls, other: Stage, plan: str, number: int, items: list[Item]) -> Self:
        """A pack of a plan. Its Luigi id is the same in all processes, so that a luigid shares packs among them."""
        spec = cls.of(other)
        identity = [spec.artifacts.id, spec.store.spec_digest, sorted(d for _, d in items), spec.retry]
        return cls(experiment=other.experiment, id=digest(identity)[:16], plan=plan, number=number)

    @cached_property
    def items(self) -> list[Item]:
        """The pack's items; none for the pack that only stands for the spec, see `Stage.of`."""
        if self.number < 0:
            return []
        return [(name, source) for name, source in self._plan()[self.number]]

    @property
    def of_packs(self) -> int:
        """How many packs the plan has."""
        return len(self._plan())

    def _plan(self) -> list:
        plan = read_plan(self.artifacts.root / self.plan)
        if plan is None:
            raise ValueError(f"the plan {self.plan} is gone or damaged; run the same command again")
        return plan

    @property
    def store(self) -> Store:
        """The store of the pack's spec; one object a process, because it remembers manifests."""
        stores, key = self.experiment.stores, self.key()
        if key not in stores:
            stores[key] = self.artifacts.store(self.recipe())
        return stores[key]

    @property
    def retry(self) -> int:
        return self.field(self.retry_field) if self.retry_field else 0

    def draft(self) -> dict:
        return super().draft() | ({"after": {self.after.__name__: self.after.version}} if self.after else {})

    def requires(self) -> list[Stage]:
        if self.after is None or not self.items or self.complete():
            return super().requires()
        return [*super().requires(), self.after.pack(self, self.plan, self.number, self.items)]

    def told(self, event: str, detail: dict[str, Any]) -> str:
        part = f" {self.number + 1} of {self.of_packs}"
        if event != "ran":
            return part + super().told(event, detail)
        known, this = events.read(self.artifacts.root), (self.name, self.plan)
        mine = [event for event in known if (event.get("stage"), event.get("plan")) == this]
        done = sum(event["event"] == "ran" for event in mine)
        # by the clock, in which other packs and workers have their part
        since = min((event["time"] for event in mine), default=time.time())
        ahead = (self.of_packs - done) * (time.time() - since) / max(done, 1)
        left = f", about {duration(ahead)} left" if ahead >= 1 else ""
        return f"{part}: {detail['items']} {self.holds[0]} in {detail['seconds']:.1f} s{left}"

    def missing(self, items: list[Item]) -> list[Item]:
        """Of these, what no shard holds, here or in the store behind, and what has not failed at this retry number."""
        lacking = self.store.index().lacking(items, self.retry)
        return self.then.of(self).store.index().lacking(lacking, self.retry) if self.then else lacking

    def complete(self) -> bool:
        if self.recipe() is None:
            self.experiment.forget()  # the scheduling process has not seen yet what its workers made
        return self.recipe() is not None and not (self.items and self.missing(self.items))

    def ahead(self) -> list[Item] | None:
        """All items that are still to be computed; None while that is not known."""
        gather = self.gather.of(self)
        if self.key() and (known := gather.known()) and known["settled"]:
            return []
        wanted = gather.items() if self.key() else None
        if wanted is None:
            return None
        lacking = self.store.index().lacking(dict.fromkeys(wanted), self.retry)
        if lacking and self.then and self.then.of(self).key() is None:
            return None
        return self.missing(lacking) if lacking else []

    def amount(self, items: list[Item]) -> dict[str, int]:
        """{"items", "rows", "bytes"} that these items come to, at most."""
        rows, row_bytes = self.largest()
        return {"items": len(items), "rows": len(items) * rows, "bytes": len(items) * rows * row_bytes}

    def amount_text(self, items: list[Item]) -> str:
        """What these items come to, for a person."""
        amount = self.amount(items)
        return f"{amount['items']} {self.holds[0]} ({amount['rows']} {self.holds[1]}, {decimal(amount['bytes'])})"

    def todo(self) -> bool | None:
        ahead = self.ahead()
        return None if ahead is None else bool(ahead)

    def dropped(self) -> bool:
        items = self.gather.of(self).items() if self.key() and self.then else None
        return bool(items) and bool(self.store.index().lacking(items, self.retry))

    def made(self) -> float | None:
        newest = self.store.newest() if self.key() else None
        return newest and newest["created"]

    def size(self) -> int:
        return self.store.index().size if self.key() else 0

    def place(self) -> str | None:
        return self.key() and self.store.folder.relative_to(self.artifacts.root).as_posix()

    def earlier(self) -> list[Earlier]:
        stores = map(Store.open, self.artifacts.stores(self.name))
        found = [Earlier.of({"recipe": store.spec, **store.newest()}) for store in stores if store and store.newest()]
        return sorted(found, key=lambda one: one.created, reverse=True)

    def reasons(self) -> list[Reason]:
        """What differs from the nearest earlier spec; if nothing does, how many items are held of those wanted."""
        ahead, found = self.ahead(), super().reasons()
        if found or ahead is None:
            return found or waiting(self.gather.of(self).draft())
        wanted = len(set(self.gather.of(self).items()))
        lack = {"what": "items", "field": self.name, "old": wanted - len(ahead), "new": wanted}
        return [lack] if ahead and self.store.newest() else []

    def code_changed(self) -> bool:
        if self.counts_code() or not self.key():
            return False
        known = None if self.then else self.gather.of(self).known()
        return bool((set(known["codes"]) if known else self.store.index().codes) - {None, self.code()})

    def run(self) -> None:
        self.experiment.forget()
        with self.artifacts.lock(f"{self.name}-{self.id}"):
            missing = self.missing(self.items)
            if missing:
                self.log("start", items=len(missing), plan=self.plan)
                started = time.time()
                self.store.publish_shard(
                    missing, self.retry, lambda path, key: self.write(path, key, missing), self.provenance()
                )
                self.log("ran", items=len(missing), seconds=round(time.time() - started, 3), plan=self.plan)
        self.drop_read()

    def drop_read(self) -> None:
        """Drop shards of the pack before that were made to be dropped, and all of whose items are done here."""
        if self.after and self.keep_field and not self.field(self.keep_field):
            rows = self.store.index().rows
            self.after.of(self).store.drop(
                lambda manifest: (
                    not manifest["provenance"]["how"].get(self.keep_field, True)
                    and all(source in rows for source in manifest["digests"])
                )
            )
