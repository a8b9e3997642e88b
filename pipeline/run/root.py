"""Root: the task that a user asks for. Loads the experiment, and lets `runs/<experiment>` show what came of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import luigi

from videocap.pipeline.artifacts import jobs
from videocap.pipeline.artifacts.shown import Shown
from videocap.pipeline.config import BaseConfig, ConfigError, dump, load
from videocap.pipeline.run import ending
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stages.stage import Stage


class Root(luigi.Task):
    """Complete when the last stage is, and `runs/<experiment>` shows its result."""

    sections: ClassVar[type[BaseConfig]]
    """The class of the experiment's config."""
    final: ClassVar[type[Stage]]
    """The stage whose result is what a run is for."""

    config = luigi.Parameter(description="the experiment's config file")
    override = luigi.Parameter(default="", description='changes to it: "train.epochs=3 fusion.block=conv1d"')

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        try:
            config = load(self.sections, Path(self.config), self.override)
            self.experiment = Experiment(config, self.final)
            self.last = self.final.of(self.experiment)
        except (ConfigError, OSError) as error:
            ending.refuse(self, error)
        self.name = config.experiment.name
        self.task_id = f"{self.task_family}_{self.name}_{self.last.id}"
        ending.begin(self, [self.experiment], self.results)

    def results(self) -> str:
        """What a person sees at the end of a run that did all."""
        raise NotImplementedError

    def pages(self, payload: Path) -> dict[str, str]:
        """Files in place of the result's, which other experiments may share: with what is this one's own."""
        return {}

    @property
    def folder(self) -> Path:
        """Where the results are shown."""
        return self.experiment.artifacts.root / "runs" / self.name

    def requires(self) -> Stage:
        return self.last

    def shown(self) -> Shown | None:
        """What `runs/<experiment>` is to show: the result, and texts of its own; None if there is no result."""
        self.experiment.look_again()
        payload = self.last.product.payload()
        if payload is None:
            return None
        made_of = json.dumps(self.experiment.made_of(), indent=1) + "\n"
        texts = {"config.toml": dump(self.experiment.config), "made_of.json": made_of}
        return Shown(self.experiment.artifacts.root, self.name, payload, texts)

    def complete(self) -> bool:
        shown = self.shown()
        return shown is not None and shown.is_linked()

    def on_failure(self, exception: Exception) -> str:
        ending.log_failure(self.experiment, self.task_family, exception)
        return super().on_failure(exception)

    def run(self) -> None:
        artifacts = self.experiment.artifacts
        with jobs.exclusive(artifacts):
            shown = self.shown()
            if shown is None:
                raise ValueError(f"the result of {self.last.name} is gone; run the same command again")
            shown.link(self.pages(shown.payload))
        jobs.leave(artifacts, self.experiment.token)


class WholeNumber(luigi.IntParameter):
    """An option whose error says what it wants."""

    def parse(self, text: str) -> int:
        try:
            return super().parse(text)
        except ValueError:
            raise ValueError(f"{text!r} is no whole number: {self.description}") from None
