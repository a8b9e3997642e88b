"""The trained captioner that an experiment shows, whatever its config and its videos have become since."""

from __future__ import annotations

import json
import os
import shlex
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videocap import tasks
from videocap.model.config import MODEL_FILES
from videocap.pipeline import words
from videocap.pipeline.config import BaseConfig, ConfigError, changed, load, parse_override
from videocap.pipeline.stages.experiment import Experiment, artifacts_of
from videocap.pipeline.stores.store import Index, Store


@dataclass
class Shown:
    """What `runs/<name>` has for a captioner."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    """How frames are decoded and embedded here."""
    device: str = "auto"
    """Of the captioner."""
    generate: dict[str, Any] = field(default_factory=dict)
    """How to write, where that is not the model's own way."""
    remarks: list[str] = field(default_factory=list)

    @property
    def store(self) -> Index | None:
        """The store that its features are in, if it is here."""
        place = _json(self.folder / "made_of.json").get("EmbedFramesShard")
        store = Store.open(self.folder.parents[1] / place) if isinstance(place, str) else None
        return store.index() if store else None

    @property
    def encoder(self) -> str | None:
        """The file that its features were embedded by, if it is still there."""
        try:
            told = tomllib.loads((self.folder / "config.toml").read_text(encoding="utf-8"))["encoder"]["weights"]
        except (OSError, ValueError, KeyError):
            return None
        return told if os.path.isfile(told) and not (self.folder / "encoder.safetensors").exists() else None


def find(config: str | os.PathLike | None, override: str = "", of_videos: bool = True) -> Shown:
    """The captioner that a config's experiment shows.

    Args:
        of_videos: it is to caption videos.

    Raises:
        ValueError: if it shows none, an override can't be, or other code made the features of its videos.
    """
    file = Path(config or tasks.DEFAULT_CONFIG)
    given = {
        name.partition(".")[2]: value
        for name, value in parse_override(override).items()
        if name.startswith("generate.")
    }
    given.pop("models", None)  # which write together is a run's to decide
    try:
        loaded = load(tasks.Config, file, override)
    except ConfigError as error:
        shown = _in_spite_of(file, override, error)
        shown.generate = given
        return shown
    if of_videos and (features := loaded.data.features):
        raise ValueError(
            f"data.features = {features!r} were made by other code, so those of a video can't be made here: "
            "caption with a config that trains on `videos`"
        )
    shown = Shown(artifacts_of(loaded).root / "runs" / loaded.experiment.name)
    command = ["--config", os.fspath(file), *(["--override", override] if override else [])]
    # how it is to write now makes no other model of it
    own = _json(shown.folder / MODEL_FILES[0]).get("generate") or {}
    kept = {f"generate.{name}": own[name] for name in given if name in own}
    experiment = Experiment(changed(loaded, kept), tasks.Report)
    if not (shown.folder / MODEL_FILES[0]).is_file():
        why = words.reasons(tasks.Train.of(experiment).product.reasons())
        raise ValueError(
            f"there is no trained model of {loaded.experiment.name}{f' ({why})' if why else ''}: "
            f"run {shlex.join(['videocap', 'run', *command])} first, which reuses what is done"
        )
    shown.settings = {name: getattr(loaded.encoder, name) for name in ("device", "precision", "batch_size", "compile")}
    shown.settings |= {name: getattr(loaded.decode, name) for name in ("timeout", "max_pixels")}
    shown.device = loaded.train.device
    shown.generate = {name: getattr(loaded.generate, name) for name in (*given, "batch_size")}
    if told := _earlier(experiment, shown.folder):
        stage, why = told
        again = f" ({shlex.join(['videocap', 'why', stage, *command])} tells more)" if stage else ""
        shown.remarks.append(f"the model is of an earlier state of {loaded.experiment.name}: {why}{again}")
    return shown


def base(file: Path, override: str = "") -> BaseConfig:
    """What a config says of its artifacts and its name, whatever else is wrong with it.

    Raises:
        ValueError: if that is wrong, too.
    """
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from error
    sections = {name: dict(tree[name]) for name in BaseConfig.model_fields if isinstance(tree.get(name), dict)}
    for name, value in parse_override(override).items():
        section, key = name.split(".")
        if section in BaseConfig.model_fields:
            here = os.path.abspath(value) if key == "artifacts" else value  # not from the config's folder
            sections.setdefault(section, {})[key] = here
    return BaseConfig.model_validate(sections, context={"folder": file.absolute().parent})


def _earlier(experiment: Experiment, folder: Path) -> tuple[str, str] | None:
    """Of which stage, and why, what is shown is not what the config and the data are now; None if it is."""
    before = _json(folder / "made_of.json")
    try:
        now = experiment.made_of()
        if before.get("Model") == now.get("Model") is not None:
            return None
        for stage in (tasks.Train, tasks.Model):
            if told := words.reasons(stage.of(experiment).product.reasons()):
                return stage.__name__, told
    except (ValueError, OSError) as error:
        return "", str(error).split("\n")[0]
    return "Model", "what comes before it has changed"


def _in_spite_of(file: Path, override: str, error: ConfigError) -> Shown:
    """What a config's experiment shows, though the config is no longer right: its videos may have gone.

    Raises:
        ConfigError: if it shows nothing, or the mistake is in what was asked for now.
    """
    try:
        load(tasks.Config, file)
    except ConfigError as alone:
        error = alone
    else:
        raise error
    try:
        known = base(file, override)
    except ValueError:
        raise error from None
    folder = artifacts_of(known).root / "runs" / known.experiment.name
    if not (folder / MODEL_FILES[0]).is_file():
        raise error
    remark = f"the config can't be read ({str(error).splitlines()[0]}); this is the model that {folder} shows"
    return Shown(folder, remarks=[remark])


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
