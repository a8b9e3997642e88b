"""Recipe: all that decides a stage's output. No Luigi."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from videocap.pipeline.artifacts.outside import stat_file
from videocap.pipeline.config import BaseConfig
from videocap.pipeline.digests import canonical, code_digest, digest
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stages.graph import Kind
from videocap.pipeline.view import View


class Declares(Protocol):
    """What a recipe asks of the stage that declares it, see `Declared`."""

    makes: str
    version: int
    by_version: bool
    hashes_at_once: bool
    experiment: Experiment

    @property
    def name(self) -> str: ...

    @property
    def config(self) -> View: ...

    def whole_config(self) -> BaseConfig: ...

    def needs(self) -> Mapping[str, tuple[Kind, str]]: ...

    def sources(self) -> Mapping[str, Path | str]: ...


class Recipe:
    """The fields that count, the files outside, the identities of inputs and the code of a stage; and the key of these.

    What was derived is kept until the experiment looks again.

    Args:
        stage: that declares it.
        more: what else is in it.
    """

    def __init__(self, stage: Declares, more: Mapping[str, Any] | None = None):
        self._stage, self._more = stage, more or {}
        self.name = stage.name
        self._stats: dict[str, list | str] | None = None
        self._digests: tuple[int, dict[str, str] | None] | None = None
        self._settled: tuple[int, dict | None, str | None] | None = None

    @property
    def _experiment(self) -> Experiment:
        return self._stage.experiment

    def values(self) -> dict[str, Any]:
        """The declared fields that decide values; not those that can't matter beside the others' values."""
        values, whole = {}, self._stage.whole_config()
        for key, value in self._stage.config.items().items():
            section, field = key.split(".")
            unused = getattr(getattr(whole, section), "unused", tuple)()
            if self._experiment.roles[key] == "what" and field not in unused:
                values[key] = value
        return values

    def stats(self) -> dict[str, list | str]:
        """Path, size, mtime and inode of the sources, taken once a run: what changes later is for the next run."""
        if self._stats is None:
            found = self._stage.sources().items()
            self._stats = {name: source if isinstance(source, str) else stat_file(source) for name, source in found}
        return self._stats

    def files(self) -> dict[str, list]:
        """Those of the sources that are files."""
        return {name: stat for name, stat in self.stats().items() if not isinstance(stat, str)}

    def digests(self, compute: bool = False) -> dict[str, str] | None:
        """sha256 of the sources; None if one is not known yet, unless `compute`."""
        if self._digests is None or (self._digests[1] is None and (compute or self._digests[0] != self._moment)):
            files = self.files()
            known = {name: stat for name, stat in self.stats().items() if name not in files}
            compute = compute or self._stage.hashes_at_once
            found = self._experiment.artifacts.outside.digests(self.name, files, compute) if files else {}
            self._digests = self._moment, None if found is None else known | found
        return self._digests[1]

    @property
    def _moment(self) -> int:
        return self._experiment.moment

    def unread(self) -> list[str]:
        """The sources that are new, touched or moved, so that they are to be read again."""
        return self._experiment.artifacts.outside.unread(self.name, self.files())

    def record(self) -> str | None:
        """Where the sha256 of the sources are recorded, from the artifacts folder; None if there are no files."""
        artifacts = self._experiment.artifacts
        place = artifacts.outside.record(self.name, self.files()) if self.files() else None
        return place and place.relative_to(artifacts.root).as_posix()

    def draft(self) -> dict:
        """The recipe, with None for each input that has no identity yet, and for sources that were not read yet."""
        find = self._experiment.node
        inputs = {
            part_name(kind, part): find(kind).product.identity(part) for kind, part in self._stage.needs().values()
        }
        recipe = {"stage": self.name, "version": self._stage.version, "config": self.values(), "inputs": inputs}
        recipe |= {"outside": self.digests()} if self.stats() else {}
        recipe |= {"code": self.code()} if self.counts_code() else {}
        return json.loads(canonical(recipe | self._more))  # as it reads back from a manifest

    def settled(self) -> dict | None:
        """All that decides the output, as JSON; None while an input has no identity yet."""
        if self._settled is None or self._settled[0] != self._moment:
            moment, draft = self._moment, self.draft()
            unknown = draft.get("outside", {}) is None or None in draft["inputs"].values()
            self._settled = (moment, None, None) if unknown else (moment, draft, digest(draft))
        return self._settled[1]

    @property
    def key(self) -> str | None:
        """Digest of the recipe; None while that is not settled."""
        self.settled()
        return self._settled[2]

    def code(self) -> str | None:
        """Digest of the code that makes the result; None for a stage that only gathers."""
        return code_digest(self._stage.makes.split(":")[0]) if self._stage.makes else None

    def counts_code(self) -> bool:
        """Whether the hash of the code is in the key; `[pipeline] code` decides for all stages or leaves it to each."""
        mode = self._experiment.config.pipeline.code
        return bool(self._stage.makes) and (mode == "strict" or (mode == "auto" and not self._stage.by_version))

    def waits_for(self) -> set[Kind]:
        """The stages whose results have no identity yet."""
        find = self._experiment.node
        return {kind for kind, part in self._stage.needs().values() if find(kind).product.identity(part) is None}


def part_name(kind: Kind, part: str) -> str:
    """How a recipe calls a part of a stage's result."""
    return f"{kind.__name__}:{part}" if part else kind.__name__
