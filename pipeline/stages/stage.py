"""Stage: a Luigi task whose result is an artifact under its key."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path
from typing import Any, Self

import luigi

from videocap.pipeline.artifacts import events, jobs
from videocap.pipeline.digests import digest
from videocap.pipeline.stages.declared import Declared
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stages.failures import described
from videocap.pipeline.stages.parameter import ExperimentParameter
from videocap.pipeline.stages.product import Product, Result
from videocap.pipeline.stages.reasons import shortened


class Stage(Declared, luigi.Task):
    """One stage of one experiment, as Luigi runs it: `requires`, `complete` and `run` follow from what it declares."""

    experiment = ExperimentParameter()
    id = luigi.Parameter(description="hash of all config and sources behind the stage, folder and process")

    @classmethod
    def draft(cls, experiment: Experiment) -> Self:
        """The stage before its id is known; it has looked at nothing outside."""
        return cls(experiment=experiment, id="")

    @classmethod
    def within(cls, experiment: Experiment) -> Self:
        """The stage of an experiment; see `Declared.of`."""
        draft = cls.draft(experiment)
        stage = cls(experiment=experiment, id=digest([draft.identity(), experiment.artifacts.id, events.PROCESS])[:16])
        stage.recipe = draft.recipe  # what it saw of files outside is for the whole run
        return stage

    def identity(self) -> list[Any]:
        """What tells its task from that of another experiment in the same process and artifacts folder."""
        sources = {name: str(stat) for name, stat in self.recipe.stats().items()}
        return [self.recipe.values(), sources, [stage.id for stage in self.requires()]]

    @property
    def product(self) -> Product:
        return Result(self.recipe, self.artifacts, self.identified_by_key)

    def requires(self) -> list[Stage]:
        return [stage.of(self) for stage in self.before()]

    def complete(self) -> bool:
        return self.product.done

    def run(self) -> None:
        """Make and publish the artifact, unless early cutoff or another process left nothing to do."""
        jobs.enter(self.artifacts, self.experiment.token, self.experiment.made_of)
        self.recipe.digests(compute=True)
        self.experiment.look_again()
        if not self.experiment.needs_of_any(self):
            return
        recipe = self.recipe.settled()
        if recipe is None:
            raise ValueError(f"{self.name}: an input has changed while this ran; run the same command again")
        if not self.product.done:
            with self.artifacts.lock(f"{self.name}-{self.recipe.key}"):
                if not self.product.done:
                    self._publish(recipe, self.recipe.key)
        self.experiment.look_again()
        jobs.write(self.artifacts, self.experiment.token, self.experiment.made_of)

    def _publish(self, recipe: dict, key: str) -> None:
        self.log("start", key=key, reasons=shortened(self.product.reasons()))
        started = time.time()
        self.artifacts.publish(self.name, key, recipe, self._make, self.provenance())
        self.log("ran", key=key, seconds=round(time.time() - started, 3))
        shutil.rmtree(self.scratch(), ignore_errors=True)

    def _make(self, folder: Path) -> None:
        for warning in self.function()(folder, self.config, **self.inputs()) or ():
            tells = {"tells": self.tells} if self.tells else {}
            self.log("warning", logging.DEBUG, warning=warning, **tells)  # the last lines tell all of them

    def scratch(self) -> Path:
        """A folder for unfinished work under this key; removed once the result is published."""
        return self.artifacts.scratch / f"{self.name}-{self.recipe.key}"

    def preload(self) -> None:
        """Import what `run` needs."""
        if self.makes:
            self.function()

    def on_failure(self, exception: Exception) -> str:
        write_failure(self, exception)
        return super().on_failure(exception)


def write_failure(stage: Declared, exception: Exception) -> None:
    """Put on record why a stage failed, and say it."""
    sizes = [name for name in stage.config.items() if name.endswith(".batch_size")]
    experiment = stage.experiment.config.experiment.name
    error = described(exception)
    events.write_failure(stage.artifacts.root, stage.name, error, experiment=experiment, batch_sizes=sizes)
