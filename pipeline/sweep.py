"""Sweep: several experiments that differ in some fields as one task; the stages that they share run once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import luigi

from pipeline import console, publish
from pipeline.config import ConfigError, load
from pipeline.keys import digest
from pipeline.root import Root


class Sweep(luigi.Task):
    """Complete when all its experiments are, and files in `tables/` of the artifacts folder show what came of them.

    Every experiment is an ordinary one, under a name of its own in `runs/`.
    """

    root: ClassVar[type[Root]]
    """The root task of one experiment."""

    config = luigi.Parameter(description="the config file that the experiments start from")
    override = luigi.Parameter(default="", description='changes in all of them: "train.epochs=3"')

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        try:
            base = load(self.root.sections, Path(self.config), self.override)
            self.name = f"{base.experiment.name}-{self.title()}"
            self.roots = {name: self._root(name, changes) for name, changes in self.changes(base).items()}
        except (ConfigError, OSError) as error:
            console.refuse(self, error)
        self.experiments = [root.experiment for root in self.roots.values()]
        self.folder = self.experiments[0].artifacts.root / "tables"
        self.task_id = f"{self.task_family}_{self.name}_{digest([root.task_id for root in self.roots.values()])[:16]}"
        console.begin(self, self.experiments, self.results)

    def title(self) -> str:
        """What the names of its experiments and files end in."""
        raise NotImplementedError

    def changes(self, base) -> dict[str, str]:
        """The experiments: what each is called, and what it changes of the config, as an override."""
        raise NotImplementedError

    def texts(self) -> dict[str, str]:
        """What came of the experiments, all complete: texts by the suffix of the file that shows each."""
        raise NotImplementedError

    def results(self) -> str:
        """What a person sees at the end of a run that did all."""
        raise NotImplementedError

    def _root(self, name: str, changes: str) -> Root:
        override = f"{self.override} {changes} experiment.name={self.name}-{name}"
        try:
            return self.root(config=self.config, override=override)
        except ConfigError as error:
            raise ConfigError(f"{name}, with {changes}: {error}") from None

    def requires(self) -> list[Root]:
        return list(self.roots.values())

    def complete(self) -> bool:
        done = all(root.complete() for root in self.roots.values())
        return done and all(_read(file) == text for file, text in self._files().items())

    def run(self) -> None:
        for experiment in self.experiments:
            experiment.forget()
        self.folder.mkdir(exist_ok=True)
        for file, text in self._files().items():
            work = file.with_name(f".{file.name}.{publish.unique()}")
            work.write_text(text, encoding="utf-8")
            os.replace(work, file)

    def _files(self) -> dict[Path, str]:
        return {self.folder / f"{self.name}{suffix}": text for suffix, text in self.texts().items()}


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
