"""Pack: some items of one spec, published as one shard.

A pack is a request: it is complete when its items are covered, by whatever shards, and computes what is missing.
"""

from __future__ import annotations

import logging
import time
from functools import cached_property
from pathlib import Path
from typing import Self

import luigi

from videocap.pipeline.artifacts import events
from videocap.pipeline.digests import digest
from videocap.pipeline.stages.parameter import ExperimentParameter
from videocap.pipeline.stages.spec import Spec
from videocap.pipeline.stages.stage import Stage, write_failure
from videocap.pipeline.stores.plans import read_plan
from videocap.pipeline.stores.store import Item


class Pack(luigi.Task):
    """Some items of one spec; made by `Pack.of`."""

    experiment = ExperimentParameter()
    stage = luigi.Parameter(description="the spec's name")
    id = luigi.Parameter(description="hash of the artifacts folder, the spec, the items and the retry number")
    plan = luigi.Parameter(significant=False, description="the plan's file, in the artifacts folder")
    number = luigi.IntParameter(significant=False, description="which pack of the plan")

    @classmethod
    def of(cls, spec: Spec, plan: str, number: int, items: list[Item]) -> Self:
        """A pack of a plan. Its Luigi id is the same in all processes, so that a luigid shares packs among them."""
        identity = [spec.artifacts.id, spec.store.spec_digest, sorted(source for _, source in items), spec.retry]
        return cls(experiment=spec.experiment, stage=spec.name, id=digest(identity)[:16], plan=plan, number=number)

    @cached_property
    def spec(self) -> Spec:
        return self.experiment.named(self.stage)

    @property
    def resources(self) -> dict[str, int]:
        return self.spec.resources

    @cached_property
    def items(self) -> list[Item]:
        """The pack's items."""
        return [(name, source) for name, source in self._plan()[self.number]]

    def _plan(self) -> list:
        plan = read_plan(self.spec.artifacts.root / self.plan)
        if plan is None:
            raise ValueError(f"the plan {self.plan} is gone or damaged; run the same command again")
        return plan

    def requires(self) -> list[Stage | Pack]:
        """What the spec needs, and the pack of the same items whose shard this one reads."""
        spec = self.spec
        needed: list[Stage | Pack] = [stage.of(spec) for stage in spec.before()]
        if spec.after and not self.complete():
            needed.append(Pack.of(spec.after.of(spec), self.plan, self.number, self.items))
        return needed

    def complete(self) -> bool:
        if self.spec.recipe.settled() is None:
            self.experiment.look_again()  # the scheduling process has not seen yet what its workers made
        return self.spec.recipe.settled() is not None and not self.spec.missing(self.items)

    def run(self) -> None:
        """Compute the items that are missing, and publish them as a shard."""
        self.experiment.look_again()
        spec = self.spec
        with spec.artifacts.lock(f"{spec.name}-{self.id}"):
            if missing := spec.missing(self.items):
                self._publish(spec, missing)
        spec.drop_read()

    def _publish(self, spec: Spec, items: list[Item]) -> None:
        about = {"items": len(items), "plan": self.plan, "number": self.number, "packs": len(self._plan())}
        spec.log("start", logging.DEBUG, **about)
        started, part = time.time(), f"{self.number + 1}/{about['packs']}"

        def write(path: Path, key: str) -> dict:
            return spec.write(path, key, items, part)

        spec.store.publish_shard(items, spec.retry, write, spec.provenance())
        seconds = round(time.time() - started, 3)
        spec.log("ran", **about, seconds=seconds, left=self._left(about["packs"]), holds=spec.holds[0])

    def _left(self, packs: int) -> float:
        """Seconds that the plan still needs, by the clock, in which other packs and workers have their part."""
        known, this = events.read(self.spec.artifacts.root), (self.stage, self.plan)
        mine = [event for event in known if (event.get("stage"), event.get("plan")) == this]
        done = 1 + sum(event["event"] == "ran" for event in mine)
        since = min((event["time"] for event in mine), default=time.time())
        return round((packs - done) * (time.time() - since) / done, 3)

    def preload(self) -> None:
        """Import what `run` needs."""
        self.spec.function()

    def on_failure(self, exception: Exception) -> str:
        write_failure(self.spec, exception)
        return super().on_failure(exception)
