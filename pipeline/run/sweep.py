"""Sweep: several experiments that differ in some fields as one task; the stages that they share run once."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import ClassVar

import luigi

from videocap.pipeline.artifacts import publish
from videocap.pipeline.config import BaseConfig, ConfigError, load, parse_override
from videocap.pipeline.digests import digest
from videocap.pipeline.run import ending
from videocap.pipeline.run.root import Root, WholeNumber


class Sweep(luigi.Task):
    """Complete when all its experiments are, and files in `tables/` of the artifacts folder show what came of them.

    Every experiment is an ordinary one, under a name of its own in `runs/`.
    """

    root: ClassVar[type[Root]]
    """The root task of one experiment."""
    common: ClassVar[str] = ""
    """What all experiments change of the config, as an override."""
    seed_field: ClassVar[str]
    """The config field that holds a row's seed."""
    suffixes: ClassVar[tuple[str, ...]]
    """Of the files that show what came of the experiments."""

    config = luigi.Parameter(description="the config file that the experiments start from")
    override = luigi.Parameter(default="", description='changes in all of them: "train.epochs=3"')
    seeds = WholeNumber(default=1, description="trainings a row, each with a seed of its own")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        try:
            base = load(self.root.sections, Path(self.config), f"{self.override} {self.common}")
            self.name = f"{base.experiment.name}-{self.title()}"
            self.roots = {name: self._root(name, changes) for name, changes in self.changes(base).items()}
            self._check_distinct()
        except (ConfigError, OSError) as error:
            ending.refuse(self, error)
        self.experiments = [root.experiment for root in self.roots.values()]
        self.folder = self.experiments[0].artifacts.root / "tables"
        self.task_id = f"{self.task_family}_{self.name}_{digest([root.task_id for root in self.roots.values()])[:16]}"
        ending.begin(self, self.experiments, self.results, self.unfinished)

    def title(self) -> str:
        """What the names of its experiments end in."""
        raise NotImplementedError

    def file_name(self) -> str:
        """What its files are called."""
        return f"{self.name}-seeds{self.seeds}"

    def rows(self, base: BaseConfig) -> dict[str, str]:
        """What differs: what each row is called, and what it changes of the config, as an override."""
        raise NotImplementedError

    def changes(self, base: BaseConfig) -> dict[str, str]:
        """The experiments: each row with each seed. Raises ConfigError if a person changes what the rows set."""
        if self.seeds < 1:
            raise ConfigError(f"--seeds is 1 or more, not {self.seeds}")
        rows, given, same = self.rows(base), parse_override(self.override), parse_override(self.common)
        fixed = parse_override(" ".join(rows.values()))
        fixed |= {key: value for key, value in same.items() if given.get(key) != value}
        if clash := ", ".join(sorted(fixed.keys() & given.keys())):
            raise ConfigError(f"--override: {clash}: {self.title()} sets that itself; leave it out")
        section, field = self.seed_field.split(".")
        first = getattr(getattr(base, section), field)
        return {
            f"{name}-seed{seed}": f"{override} {self.seed_field}={seed}"
            for name, override in rows.items()
            for seed in range(first, first + self.seeds)
        }

    def done_rows(self, done: dict[str, Root]) -> dict[str, list[Root]]:
        """The experiments that are done, by row."""
        found: dict[str, list[Root]] = {}
        for name, root in done.items():
            found.setdefault(name.rpartition("-seed")[0], []).append(root)
        return found

    def texts(self, done: dict[str, Root]) -> dict[str, str]:
        """What came of the experiments that are done, by the suffix of the file that shows it."""
        raise NotImplementedError

    def results(self) -> str:
        """What a person sees at the end of a run that did all: the first of the files."""
        shown = self._file(self.suffixes[0])
        return f"\n{_read(shown)}\nResults: {shown}" + "".join(f", {suffix}" for suffix in self.suffixes[1:])

    def unfinished(self) -> str:
        """What a person sees of a run that did not; files of other figures, which would pass for these, are deleted."""
        for suffix in () if self.complete() else self.suffixes:
            with contextlib.suppress(OSError):
                self._file(suffix).unlink()
        done = self.done()
        table = f"\nSo far:\n{self.texts(done)[self.suffixes[0]]}\n" if done else ""
        return f"{table}not done: {', '.join(name for name in self.roots if name not in done)}\n"

    def done(self) -> dict[str, Root]:
        """The experiments that are complete."""
        return {name: root for name, root in self.roots.items() if root.complete()}

    def _root(self, name: str, changes: str) -> Root:
        override = f"{self.override} {changes} {self.common} experiment.name={self.name}-{name}"
        try:
            return self.root(config=self.config, override=override)
        except ConfigError as error:
            raise ConfigError(f"{name}, with {changes}: {error}") from None

    def _check_distinct(self) -> None:
        """Two rows of one experiment would be one result under two names."""
        known: dict[str, str] = {}
        for name, root in self.roots.items():
            other = known.setdefault(root.last.id, name)
            if other != name:
                raise ConfigError(
                    f"{self.title()}: {other} and {name} are one experiment under this config: no stage of it reads "
                    "what they differ by"
                )

    def requires(self) -> list[Root]:
        return list(self.roots.values())

    def complete(self) -> bool:
        done = self.done()
        if len(done) < len(self.roots):
            return False
        return all(_read(self._file(suffix)) == text for suffix, text in self.texts(done).items())

    def run(self) -> None:
        done = self.done()
        if open_ones := ", ".join(name for name in self.roots if name not in done):
            raise ValueError(f"the results of {open_ones} have changed while this ran; run the same command again")
        self.folder.mkdir(parents=True, exist_ok=True)
        for suffix, text in self.texts(done).items():
            file = self._file(suffix)
            work = file.with_name(f".{file.name}.{publish.unique()}")
            work.write_text(text, encoding="utf-8")
            os.replace(work, file)

    def on_failure(self, exception: Exception) -> str:
        ending.log_failure(self.experiments[0], self.task_family, exception)
        return super().on_failure(exception)

    def _file(self, suffix: str) -> Path:
        return self.folder / f"{self.file_name()}{suffix}"


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
