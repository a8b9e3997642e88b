"""Experiment: what the stages of one run share, and which of them its results still need."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import luigi

from videocap.pipeline.artifacts.results import Artifacts
from videocap.pipeline.config import BaseConfig, fields
from videocap.pipeline.digests import digest
from videocap.pipeline.stores.store import Store

if TYPE_CHECKING:
    from videocap.pipeline.stages.stage import Stage


class Experiment:
    """The config, the artifacts folder, and the stages made so far.

    Args:
        config: of the experiment.
        last: the stage that a run is for. It and all that its result is made of are the experiment's stages (`order`).
    """

    known: ClassVar[dict[str, Experiment]] = {}

    def __init__(self, config: BaseConfig, last: type[Stage] | None = None):
        self.config = config
        self.roles = fields(type(config))
        self.artifacts = artifacts_of(config)
        self.stages: dict[type, Stage] = {}
        self.recipes: dict[type, dict | None] = {}
        self.keys: dict[type, str] = {}
        self.stats: dict[type, dict] = {}
        self.digests: dict[type, dict | None] = {}
        self.stores: dict[str, Store] = {}
        self.token = digest([config.model_dump(mode="json"), str(self.artifacts.root)])
        self.order: tuple[type[Stage], ...] = ()
        Experiment.known[self.token] = self
        if last is not None:
            self.order = self._append(last, ())

    def _append(self, stage: type[Stage], order: tuple[type[Stage], ...]) -> tuple[type[Stage], ...]:
        """An order of stages with this one behind them, and before it what is upstream of it."""
        if stage in order:
            return order
        for other in stage(experiment=self, id="").upstream():  # `of` would look at the files outside
            order = self._append(other, order)
        return (*order, stage)

    def forget(self) -> None:
        """Compute keys anew: what ran since may have changed the identity of an input."""
        self.recipes.clear()
        self.keys.clear()
        self.digests = {stage: known for stage, known in self.digests.items() if known is not None}

    def needed(self) -> dict[type[Stage], bool]:
        """The incomplete stages that the last one needs, each with whether it will surely have something to do.

        Luigi never visits the inputs of a complete task. A stage whose key is known only when an input has run may
        turn out to be complete then; of what it needs, sure is only what its key waits for.
        """
        needed: dict[type[Stage], bool] = {}
        todo = [(stage.of(self), True) for stage in self.order[-1:]]
        while todo:
            stage, sure = todo.pop()
            kind = type(stage)
            if needed.get(kind, False) or needed.get(kind) == sure or stage.complete():
                continue
            needed[kind] = sure
            unknown = stage.waits_for() if stage.key() is None else None
            todo += [(other, sure and (unknown is None or type(other) in unknown)) for other in stage.requires()]
        return needed

    def needs(self, stage: Stage) -> bool:
        """Whether a stage must be complete for the last one to be; where no order is given, always."""
        return not self.order or type(stage) in self.needed()

    def needs_of_any(self, stage: Stage) -> bool:
        """Whether this experiment, or another of this process that has just this stage, needs it."""
        if self.needs(stage):
            return True
        others = [other for other in Experiment.known.values() if other is not self and other.order]
        same = [(other, other.stages.get(type(stage))) for other in others]
        for other, mine in same:
            if mine is not None and mine.id == stage.id:
                other.forget()
                if other.needs(mine):
                    return True
        return False

    def made_of(self) -> dict[str, str | None]:
        """Where everything lies that the results consist of, from the artifacts folder: {stage: place}.

        None for a stage whose key is not known yet. "… files" are the records of the files outside that it read.
        """
        stages = [stage.of(self) for stage in self.order]
        places = {stage.name: stage.place() for stage in stages}
        return places | {f"{stage.name} files": place for stage in stages if (place := stage.record_of_files())}


def artifacts_of(config: BaseConfig) -> Artifacts:
    """The artifacts folder that the environment or a config names."""
    configured = os.environ.get("VIDEOCAP_ARTIFACTS") or config.pipeline.artifacts or "artifacts"
    return Artifacts(Path(configured).expanduser())


class ExperimentParameter(luigi.Parameter):
    """Hands the experiment from task to task; no part of a task's id.

    Luigi sends tasks that are yielded by a run to its scheduler as strings, and makes them anew from these in
    the same process: so an experiment goes as a token that this process, or the one that forked it, knows.
    """

    def __init__(self):
        super().__init__(significant=False, description="set by the task that requires this one")

    def serialize(self, value: Experiment) -> str:
        return value.token

    def parse(self, text: str) -> Experiment:
        return Experiment.known[text]

    def _warn_on_wrong_param_type(self, name: str, value: Any) -> None:
        """Luigi expects strings."""
