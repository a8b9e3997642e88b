"""What a person declares of a stage, which decides its key. No Luigi.

A subclass says what it reads of the config (`reads`), what it needs of other stages (`needs()`), what comes from
outside (`sources()`), and which function `makes` its result: `function(folder, config, **inputs)`.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from videocap.pipeline import words
from videocap.pipeline.artifacts import events
from videocap.pipeline.artifacts.results import Artifacts
from videocap.pipeline.config import BaseConfig, changed
from videocap.pipeline.functions import named
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stages.product import Product
from videocap.pipeline.stages.recipe import Recipe
from videocap.pipeline.versions import versions
from videocap.pipeline.view import View

Need = tuple[type["Declared"], str]  # a stage, and the part of its result (a file, a split)


class Declared:
    """One stage of one experiment; `TheStage.of(experiment or other stage)`."""

    makes: ClassVar[str] = ""
    """`module:function` that fills an empty folder; it may return warnings. Its code is in the key."""
    tells: ClassVar[str] = ""
    """`module:function` that puts a warning into words, if these are data and not lines for a person."""
    version: ClassVar[int] = 1
    """Raised by hand when the output changes though neither config nor hashed code did."""
    by_version: ClassVar[bool] = False
    """Extraction: a renamed variable must not cost 20 GPU hours, so only `version` counts, not the code."""
    reads: ClassVar[tuple[str, ...]] = ()
    """Config fields and sections that the stage may read."""
    changes: ClassVar[Mapping[str, Any]] = {}
    """Fields that have another value here than in the config: {"fusion.frames": "one"}, for a control of a stage."""
    hashes_at_once: ClassVar[bool] = False
    """Sources of unknown content are hashed when the key is asked for: for a single file."""
    identified_by_key: ClassVar[bool] = False
    """What follows depends on the key, not on the content: for weights."""
    holds: ClassVar[tuple[str, str] | None] = None
    """What a person calls its items and their rows, of a stage that has some."""
    after: ClassVar[type[Declared] | None] = None
    """The stage whose shards this one reads as they come."""
    specs: ClassVar[tuple[type[Declared], ...]] = ()
    """The stages whose items this one gathers: one of them, which says `Gather.kind`."""

    experiment: Experiment

    @classmethod
    def of(cls, other: Experiment | Declared) -> Self:
        """The stage of this class in an experiment, or in that of another stage."""
        return getattr(other, "experiment", other).node(cls)

    def needs(self) -> dict[str, Need]:
        """The results of other stages that this one uses, by the names that `inputs()` gives them."""
        return {}

    def uses(self) -> dict[str, Need]:
        """Results that are read, but whose content is in the key by other means (as digests of items)."""
        return {}

    def sources(self) -> dict[str, Path | str]:
        """What comes from outside: files, or digests of what is not on this machine."""
        return {}

    def upstream(self) -> list[type[Declared]]:
        """All stages whose results go into this one's."""
        return list(dict.fromkeys(stage for stage, _ in (*self.needs().values(), *self.uses().values())))

    def before(self) -> list[type[Declared]]:
        """The stages that Luigi must find complete before this one runs."""
        return Declared.upstream(self)

    def waits_for(self) -> set[type[Declared]]:
        """The stages whose results have no identity yet."""
        return self.recipe.waits_for()

    def asked(self) -> type[Declared]:
        """The stage of which Luigi asks whether it is complete: this one, or the one that gathers its items."""
        return type(self)

    def shared(self) -> type[Declared]:
        """The stage that travels for this one when it is shared."""
        return type(self)

    @property
    def product(self) -> Product:
        """What it makes."""
        raise NotImplementedError

    @cached_property
    def recipe(self) -> Recipe:
        """All that decides its output."""
        return Recipe(self)

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def artifacts(self) -> Artifacts:
        return self.experiment.artifacts

    @property
    def config(self) -> View:
        """The config, but only the declared fields."""
        return View(self.whole_config(), self.reads, self.name)

    def whole_config(self) -> BaseConfig:
        """The experiment's config as it is for this stage."""
        return changed(self.experiment.config, self.changes)

    def field(self, name: str) -> Any:
        """A declared field by its full name, as "decode.keep"."""
        section, field = name.split(".")
        return getattr(getattr(self.config, section), field)

    def function(self) -> Callable:
        """The function that makes the result; imported only when it is to run, because it may load torch."""
        return named(self.makes)

    def inputs(self) -> dict[str, Any]:
        """The results that `needs()` and `uses()` name: files or folders; of a Gather the shard of each item."""
        named = (self.needs() | self.uses()).items()
        return {name: stage.of(self).product.value(part) for name, (stage, part) in named}

    def provenance(self) -> dict[str, Any]:
        """How the result was made, which is not in the key: `how` fields, host, versions."""
        how = {key: value for key, value in self.config.items().items() if self.experiment.roles[key] == "how"}
        origin = {"experiment": self.experiment.config.experiment.name, "host": platform.node()}
        return {"how": how, **origin, "process": events.PROCESS, "code": self.recipe.code(), "versions": versions()}

    def log(self, event: str, level: int = logging.INFO, **data: Any) -> None:
        """Put an event on record (see `artifacts.events`), and tell a person; at level DEBUG in the log file only."""
        experiment = self.experiment.config.experiment.name
        known = events.write(self.artifacts.root, event, self.name, experiment=experiment, **data)
        events.LOG.log(level, "%s%s", title(self), words.progress(known))


def title(stage: Declared) -> str:
    """The stage, and which of how many it is."""
    order, several = stage.experiment.order, len(Experiment.known()) > 1
    of = f" of {stage.experiment.config.experiment.name}" if several else ""
    kind = type(stage)
    return f"[{order.index(kind) + 1}/{len(order)}] {stage.name}{of}" if kind in order else stage.name


def code_changed(stage: Declared) -> bool:
    """Whether the code that made a result is not today's, and was not meant to make it stale."""
    return not stage.recipe.counts_code() and bool(stage.product.made_by() - {None, stage.recipe.code()})
