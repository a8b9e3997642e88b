"""Gather: the features of many items; it plans packs and waits for them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

import luigi
from rich.filesize import decimal

from videocap.pipeline import words
from videocap.pipeline.artifacts import events, jobs, publish
from videocap.pipeline.stages.declared import Declared, title
from videocap.pipeline.stages.gathered import Gathered
from videocap.pipeline.stages.pack import Pack
from videocap.pipeline.stages.product import Product
from videocap.pipeline.stages.reasons import shortened
from videocap.pipeline.stages.rows import Rows
from videocap.pipeline.stages.spec import Spec
from videocap.pipeline.stages.stage import Stage
from videocap.pipeline.stores.plans import MOST_PACKS, plan


class Gather(Stage):
    """Completes the features of all items that its inputs name, pack by pack."""

    specs: ClassVar[tuple[type[Spec], ...]]
    """The specs that the features may have: which one they have, says `kind`."""
    lists: ClassVar[str]
    """`module:function` that gives the items in a file; `needs()` names a file for each part (a split)."""
    most_failures: ClassVar[str | None] = None
    """The config field that holds the largest share of failed items."""

    def kind(self) -> type[Spec]:
        """Which of `specs` the features have."""
        return self.specs[0]

    @property
    def spec(self) -> Spec:
        """What decides the features."""
        return self.kind().of(self)

    @cached_property
    def rows(self) -> Rows:
        """The items that are wanted, and what is there of them."""
        return Rows(self)

    @property
    def product(self) -> Product:
        return Gathered(self)

    def upstream(self) -> list[type[Declared]]:
        return [*super().upstream(), self.kind()]

    def before(self) -> list[type[Declared]]:
        """Its own inputs, and those of its spec: without these that is not known."""
        return list(dict.fromkeys([*super().before(), *self.spec.before()]))

    def waits_for(self) -> set[type[Declared]]:
        return super().waits_for() | self.spec.waits_for()

    def shared(self) -> type[Declared]:
        return self.kind()

    def identity(self) -> list[Any]:
        recipe = self.spec.recipe
        return [*super().identity(), recipe.values(), {name: str(stat) for name, stat in recipe.stats().items()}]

    def chain(self) -> list[Spec]:
        """Its specs, in the order in which their packs run."""
        specs = [self.spec]
        while specs[0].after:
            specs.insert(0, specs[0].after.of(self))
        return specs

    def run(self) -> Iterator[list[luigi.Task]]:
        """Yield the packs of the plan as one list, and of the next plan should rows go missing meanwhile.

        Luigi starts this anew after each yield, which finds the same plans.
        """
        run = self.artifacts, self.experiment.token, self.experiment.made_of
        jobs.enter(*run)
        self.experiment.look_again()
        if not (self.rows.ready() and self.rows.settled()) and not self.experiment.needs_of_any(self):
            return
        if not self.rows.ready():
            raise ValueError(f"{self.name}: an input has changed while this ran; run the same command again")
        attempt = 0
        while not self.rows.settled():
            if attempt == 0:
                self.log("start", items=len(self.rows.items()), reasons=shortened(self.product.reasons()), waits=True)
                self._announce()
                jobs.write(*run)
            store = self.spec.store
            if attempt == 100:
                raise ValueError(f"{self.name}: shards disappear as fast as they are made from {store.folder}")
            size = self.experiment.config.pipeline.shard_size * self.spec.bulk
            place, packs = plan(store, self.rows.items(), self.spec.retry, attempt, size)
            name = place.relative_to(self.artifacts.root).as_posix()
            yield [Pack.of(self.spec, name, number, items) for number, items in enumerate(packs)]
            attempt += 1
        self._check_failures()
        publish.replace_json(self.rows.record(), self.rows.held())
        self.spec.drop_read()
        self._log_end()

    def _log_end(self) -> None:
        """Say how long it took, unless another process gathered the rows, or they were there."""
        mine = {"stage": self.name, "event": "start", "experiment": self.experiment.config.experiment.name}
        started = [event for event in events.read(self.artifacts.root) if mine.items() <= event.items()]
        if started:
            self.log("ran", items=len(self.rows.items()), seconds=round(time.time() - started[0]["time"], 3))

    def _announce(self) -> None:
        """Say what is ahead; raises ValueError if the disk is too small for it."""
        *before, last = self.chain()
        drops = last.keep_field is not None and not last.field(last.keep_field)
        # of what is dropped once it has been read, one worker has a shard or two there at a time
        size = max(self.experiment.config.pipeline.shard_size * last.bulk, len(last.ahead()) // MOST_PACKS + 1)
        few = 2 * size if drops and luigi.interface.core().workers == 1 else None
        need = sum(spec.amount(spec.ahead()[:few])["bytes"] for spec in before) + last.amount(last.ahead())["bytes"]
        free = shutil.disk_usage(self.artifacts.root).free
        chain = [*before, last]
        work = "; ".join(f"{spec.name} {words.amount(spec.amount(spec.ahead()), spec.holds)}" for spec in chain)
        events.LOG.info("%s: ahead are up to %s. %s of disk are free.", title(self), work, decimal(free))
        if need > free and all(spec.certain() for spec in chain):
            can_drop = last.keep_field is not None and not drops
            raise ValueError(
                f"up to {decimal(need)} are to be written, and {self.artifacts.root} has {decimal(free)} free: make "
                "room, or keep the artifacts on a larger disk"
                + (f", or with one worker let go what is read: --override {last.keep_field}=false" if can_drop else "")
            )

    def _check_failures(self) -> None:
        """Raises ValueError if too many items failed."""
        failures, rows = self.rows.failures(), self.rows
        if rows.too_many(failures):
            limit = (self.most_failures, rows.most()) if self.most_failures else None
            of, what, again = len(rows.items()), self.spec.holds[0], rows.again(failures)
            raise ValueError(words.too_many_failed(failures, len(failures), of, what, again, limit))
