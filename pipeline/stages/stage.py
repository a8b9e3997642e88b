"""Stage: a Luigi task whose result is an artifact under its key. What a stage declares decides its key.

A subclass says what it reads of the config (`reads`), what it needs of other stages (`needs()`), what comes from
outside (`sources()`), and which function `makes` its result: `function(folder, config, **inputs)`.
"""

from __future__ import annotations

import json
import logging
import platform
import re
import shutil
import time
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, ClassVar, Self

import luigi

from videocap.pipeline.artifacts import events, jobs
from videocap.pipeline.artifacts.results import Artifacts, stat_file
from videocap.pipeline.config import BaseConfig, View, changed
from videocap.pipeline.digests import canonical, code_digest, digest, file_digest
from videocap.pipeline.stages import failures, reasons
from videocap.pipeline.stages.experiment import Experiment, ExperimentParameter

Need = tuple[type["Stage"], str]  # a stage, and the part of its result (a file, a split)


class Stage(luigi.Task):
    """One stage of one experiment; made by `TheStage.of(experiment or other stage)`."""

    makes: ClassVar[str] = ""
    """`module:function` that fills an empty folder; it may return notes for a person. Its code is in the key."""
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

    quiet: ClassVar[tuple[str, ...]] = ("warning",)
    """Events that a person reads of in the file only; the last lines tell all warnings."""

    experiment = ExperimentParameter()
    id = luigi.Parameter(description="hash of all config and sources behind the stage, folder and process")

    def needs(self) -> dict[str, Need]:
        """The results of other stages that this one uses, by the names that `inputs()` gives them."""
        return {}

    def uses(self) -> dict[str, Need]:
        """Results that are read, but whose content is in the key by other means (as digests of items)."""
        return {}

    def sources(self) -> dict[str, Path | str]:
        """What comes from outside: files, or digests of what is not on this machine."""
        return {}

    def upstream(self) -> list[type[Stage]]:
        """All stages whose results go into this one's."""
        return [stage for stage, _ in (*self.needs().values(), *self.uses().values())]

    # -- what Luigi asks

    @classmethod
    def of(cls, other: Experiment | Stage) -> Self:
        """The stage of this class in an experiment."""
        experiment = other.experiment if isinstance(other, Stage) else other
        if cls not in experiment.stages:
            draft = cls(experiment=experiment, id="")
            upstream = [task.id for task in luigi.task.flatten(draft.requires())]
            sources = {name: str(stat) for name, stat in draft.stats().items()}
            identity = [draft.what(), sources, upstream, experiment.artifacts.id, events.PROCESS]
            experiment.stages[cls] = cls(experiment=experiment, id=digest(identity)[:16])
        return experiment.stages[cls]

    def requires(self) -> list[Stage]:
        named = [*self.needs().values(), *self.uses().values()]
        return [stage.of(self) for stage in dict.fromkeys(stage for stage, _ in named)]

    def complete(self) -> bool:
        return self.payload() is not None

    def run(self) -> None:
        """Make and publish the artifact, unless early cutoff or another process left nothing to do."""
        jobs.enter(self.experiment)
        self.digests(compute=True)
        self.experiment.forget()
        if not self.experiment.needs_of_any(self):
            return
        recipe = self.recipe()
        if recipe is None:
            raise ValueError(f"{self.name}: an input has changed while this ran; run the same command again")
        key = self.key()
        if self.artifacts.payload(self.name, key) is None:
            with self.artifacts.lock(f"{self.name}-{key}"):
                if self.artifacts.payload(self.name, key) is None:
                    self.log("start", key=key, why=reasons.sentence(self.reasons()))
                    started = time.time()
                    self.artifacts.publish(self.name, key, recipe, self._make, self.provenance())
                    self.log("ran", key=key, seconds=round(time.time() - started, 3))
                    shutil.rmtree(self.scratch(), ignore_errors=True)
        self.experiment.forget()
        jobs.write(self.experiment)

    def on_failure(self, exception: Exception) -> str:
        reason = failures.reason(exception, self.artifacts.root, self.config.items())
        name = self.experiment.config.experiment.name
        events.write_failure(self.artifacts.root, self.name, reason, experiment=name)
        return super().on_failure(exception)

    # -- the key

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

    def what(self) -> dict[str, Any]:
        """The declared fields that decide values; not those that can't matter beside the others' values."""
        values, whole = {}, self.whole_config()
        for key, value in self.config.items().items():
            section, field = key.split(".")
            unused = getattr(getattr(whole, section), "unused", tuple)()
            if self.experiment.roles[key] == "what" and field not in unused:
                values[key] = value
        return values

    def stats(self) -> dict[str, list | str]:
        """Path, size, mtime and inode of the sources, taken once a run: what changes later is for the next run."""
        pinned = self.experiment.stats
        if type(self) not in pinned:
            pinned[type(self)] = {n: s if isinstance(s, str) else stat_file(s) for n, s in self.sources().items()}
        return pinned[type(self)]

    def digests(self, compute: bool = False) -> dict[str, str] | None:
        """sha256 of the sources; None if one is not known yet, unless `compute`."""
        remembered = self.experiment.digests
        if type(self) not in remembered or (compute and remembered[type(self)] is None):
            files = self.files()
            known = {name: stat for name, stat in self.stats().items() if name not in files}
            found = self.artifacts.file_digests(self.name, files, compute or self.hashes_at_once) if files else {}
            remembered[type(self)] = None if found is None else known | found
        return remembered[type(self)]

    def files(self) -> dict[str, list]:
        """Those of the sources that are files."""
        return {name: stat for name, stat in self.stats().items() if not isinstance(stat, str)}

    def record_of_files(self) -> str | None:
        """Where the sha256 of the sources are recorded, from the artifacts folder; None if there are no files."""
        place = self.artifacts.record_of_files(self.name, self.files()) if self.files() else None
        return place and place.relative_to(self.artifacts.root).as_posix()

    def recipe(self) -> dict | None:
        """All that decides the output, as JSON; None while an input has no identity yet."""
        recipes = self.experiment.recipes
        if type(self) not in recipes:
            draft = self.draft()
            unknown = draft.get("outside", {}) is None or None in draft["inputs"].values()
            recipes[type(self)] = None if unknown else draft
        return recipes[type(self)]

    def draft(self) -> dict:
        """The recipe, with None for each input that has no identity yet, and for sources that were not read yet."""
        inputs = {part_name(stage, part): stage.of(self).identity(part) for stage, part in self.needs().values()}
        recipe = {"stage": self.name, "version": self.version, "config": self.what(), "inputs": inputs}
        recipe |= {"outside": self.digests()} if self.stats() else {}
        if self.counts_code():
            recipe["code"] = self.code()
        return json.loads(canonical(recipe))  # as it reads back from a manifest

    def code(self) -> str | None:
        """Digest of the code that makes the result; None for a stage that only gathers."""
        return code_digest(self.makes.split(":")[0]) if self.makes else None

    def counts_code(self) -> bool:
        """Whether the hash of the code is in the key; `[pipeline] code` decides for all stages or leaves it to each."""
        mode = self.experiment.config.pipeline.code
        return bool(self.makes) and (mode == "strict" or (mode == "auto" and not self.by_version))

    def waits_for(self) -> set[type[Stage]]:
        """The stages whose results have no identity yet."""
        return {stage for stage, part in self.needs().values() if stage.of(self).identity(part) is None}

    def key(self) -> str | None:
        recipe, keys = self.recipe(), self.experiment.keys
        if recipe is not None and type(self) not in keys:
            keys[type(self)] = digest(recipe)
        return keys.get(type(self))

    def identity(self, part: str = "") -> Any | None:
        """What a stage behind puts into its own key for this one, or None if it is not known yet."""
        manifest = self.manifest()
        if not manifest:
            return None
        if self.identified_by_key:
            return manifest["key"]
        return manifest["files"][part]["sha256"] if part in manifest["files"] else manifest["content"]

    def manifest(self) -> dict | None:
        """What was published under the stage's key, or None."""
        key = self.key()
        return self.artifacts.manifest(self.name, key) if key else None

    def payload(self) -> Path | None:
        """The folder of the stage's files, or None if it is not done."""
        key = self.key()
        return self.artifacts.payload(self.name, key) if key else None

    def place(self) -> str | None:
        """Where the result lies, from the artifacts folder; None while the key is not known."""
        return self.key() and f"{self.name}/{self.key()}"

    # -- what a person asks

    def todo(self) -> bool | None:
        """Whether a run of it would have something to make; None while that is not known."""
        return None if self.key() is None else not self.complete()

    def dropped(self) -> bool:
        """Whether results that nobody needs any more are gone."""
        return False

    def earlier(self) -> list[reasons.Earlier]:
        """What was made before, under whatever keys, the newest first."""
        return [reasons.Earlier.of(manifest) for manifest in self.artifacts.newest(self.name)]

    def nearest(self) -> reasons.Earlier | None:
        """The earlier result whose recipe differs least from the present one."""
        return reasons.nearest(self.earlier(), self.draft())

    def reasons(self) -> list[reasons.Reason]:
        """What differs from the nearest earlier result, and what the stage waits for."""
        draft, nearest = self.draft(), self.nearest()
        found = reasons.differences(nearest.recipe, draft) if nearest else reasons.waiting(draft)
        for reason in found:
            if reason["field"] == "files" and reason["new"] is None:
                reason["unread"] = self.unread()
        return found

    def since(self, part: str, identity: str) -> list[reasons.Reason]:
        """What differs from the earlier result a part of which had this identity; nothing if there is none."""
        draft = self.draft()
        found = [
            reasons.Earlier.of(manifest)
            for manifest in self.artifacts.newest(self.name)
            if identity in (manifest["key"], manifest["content"], manifest["files"].get(part, {}).get("sha256"))
        ]
        nearest = reasons.nearest(found, draft)
        return reasons.differences(nearest.recipe, draft) if nearest else []

    def made(self) -> float | None:
        """When the result was made, in seconds since 1970."""
        manifest = self.manifest()
        return manifest and manifest["created"]

    def size(self) -> int:
        """Bytes of the result."""
        manifest = self.manifest()
        return sum(file["size"] for file in manifest["files"].values()) if manifest else 0

    def unread(self) -> list[str]:
        """The sources that are new, touched or moved, so that they are to be read again."""
        return self.artifacts.unread(self.name, self.files())

    def warnings(self) -> list[str]:
        """What a person is told whenever the result is used."""
        return []

    def code_changed(self) -> bool:
        """Whether the code that made the result is not today's, and was not meant to make it stale."""
        manifest = self.manifest()
        made_by = manifest and manifest["provenance"].get("code")
        return bool(made_by) and not self.counts_code() and made_by != self.code()

    # -- what the function is called with

    def function(self) -> Callable:
        """The function that makes the result; imported only when it is to run, because it may load torch."""
        return imported(self.makes)

    def _make(self, folder: Path) -> None:
        for note in self.function()(folder, self.config, **self.inputs()) or ():
            self.log("warning", reason=note)

    def inputs(self) -> dict[str, Any]:
        """The results that `needs()` and `uses()` name: files or folders; of a Gather the shard of each item."""
        return {name: stage.of(self).result(part) for name, (stage, part) in (self.needs() | self.uses()).items()}

    def result(self, part: str) -> Any:
        """A file of the stage's result, checked against its digest, or a folder of it."""
        payload = self.payload()
        if payload is None:
            raise ValueError(f"the result of {self.name} is gone; run the same command again to make it anew")
        # of all files only if there are few: a folder of videos is checked video by video, by those who read it
        files = self.manifest()["files"]
        for name in [part] if part in files else list(files) if not part and len(files) < 20 else []:
            if file_digest(payload / name) != files[name]["sha256"]:
                raise ValueError(f"{payload / name} is damaged; delete {payload.parent} and run again")
        return payload / part

    def scratch(self) -> Path:
        """A folder for unfinished work under this key; removed once the result is published."""
        return self.artifacts.scratch / f"{self.name}-{self.key()}"

    def log(self, event: str, **detail: Any) -> None:
        """Put an event on record, and tell a person what is worth it."""
        name = self.experiment.config.experiment.name
        events.write(self.artifacts.root, event, self.name, experiment=name, **detail)
        text = self.told(event, detail)
        events.LOG.log(logging.DEBUG if event in self.quiet else logging.INFO, "%s%s", self.title(), text)

    def title(self) -> str:
        """The stage, and which of how many it is."""
        order, name = self.experiment.order, self.name
        several = sum(bool(known.order) for known in Experiment.known.values()) > 1
        of = f" of {self.experiment.config.experiment.name}" if several else ""
        return f"[{order.index(type(self)) + 1}/{len(order)}] {name}{of}" if type(self) in order else name

    def told(self, event: str, detail: dict[str, Any]) -> str:
        """What of an event a person is told behind the title."""
        if event == "ran":
            return f": done in {detail['seconds']:.1f} s"
        words = detail.get("reason") or detail.get("why")
        return f": {words}" if words else ""

    def provenance(self) -> dict[str, Any]:
        """How the artifact was made, which is not in the key: `how` fields, host, versions."""
        how = {key: value for key, value in self.config.items().items() if self.experiment.roles[key] == "how"}
        origin = {"experiment": self.experiment.config.experiment.name, "host": platform.node()}
        return {"how": how, **origin, "process": events.PROCESS, "code": self.code(), "versions": versions()}


def imported(name: str) -> Callable:
    """The function that `module:function` names."""
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)


def part_name(stage: type[Stage], part: str) -> str:
    """How a recipe calls a part of a stage's result."""
    return f"{stage.__name__}:{part}" if part else stage.__name__


@cache
def versions() -> dict[str, str]:
    """Versions of Python, this project and what it requires."""
    named = [re.match(r"[\w.-]+", line)[0] for line in metadata.requires("clip4videocap") or () if "extra" not in line]
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in ["clip4videocap", *named]}}
