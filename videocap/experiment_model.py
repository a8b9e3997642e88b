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
from videocap.pipeline.config import BaseConfig, ConfigError, load, parse_override
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


def find(config: str | os.PathLike | None, override: str = "") -> Shown:
    """The captioner that a config's experiment shows.

    Raises:
        ValueError: if it shows none, or was trained on features of other code.
    """
    file = Path(config or tasks.DEFAULT_CONFIG)
    try:
        loaded = load(tasks.Config, file, override)
    except ConfigError as error:
        shown = _in_spite_of(file, override)
        if shown is None:
            raise
        first = str(error).split("\n")[0]
        shown.remarks.append(f"the config can't be read ({first}); this is the model that {shown.folder} shows")
        return shown
    if features := loaded.data.features:
        raise ValueError(
            f"data.features = {features!r} were made by other code, so those of a video can't be made here: "
            "caption with a config that trains on `videos`"
        )
    experiment = Experiment(loaded, tasks.Report)
    shown = Shown(experiment.artifacts.root / "runs" / loaded.experiment.name)
    command = ["videocap", "run", "--config", os.fspath(file)] + (["--override", override] if override else [])
    if not (shown.folder / MODEL_FILES[0]).is_file():
        why = words.reasons(tasks.Train.of(experiment).product.reasons())
        raise ValueError(
            f"there is no trained model of {loaded.experiment.name}{f' ({why})' if why else ''}: "
            f"run {shlex.join(command)} first, which reuses what is done"
        )
    shown.settings = {name: getattr(loaded.encoder, name) for name in ("device", "precision", "batch_size", "compile")}
    shown.settings |= {name: getattr(loaded.decode, name) for name in ("timeout", "max_pixels")}
    shown.device = loaded.train.device
    given = [name.split(".")[1] for name in parse_override(override) if name.startswith("generate.")]
    if "models" in given:
        raise ValueError("generate.models: which models write together is decided by a run, so run it with them first")
    shown.generate = {name: getattr(loaded.generate, name) for name in (*given, "batch_size")}
    if told := _earlier(experiment, shown.folder):
        again = shlex.join(["videocap", "why", "Train", *command[2:]])
        shown.remarks.append(
            f"the model is of an earlier state of {loaded.experiment.name}: {told} ({again} tells more)"
        )
    return shown


def _earlier(experiment: Experiment, folder: Path) -> str:
    """Why what is shown is not what the config and the data are now; empty if it is."""
    before = _json(folder / "made_of.json")
    try:
        now = experiment.made_of()
        if before.get("Model") == now.get("Model") is not None:
            return ""
        told = words.reasons(tasks.Train.of(experiment).product.reasons())
    except (ValueError, OSError) as error:
        return str(error).split("\n")[0]
    return told or "what comes before it has changed"


def _in_spite_of(file: Path, override: str) -> Shown | None:
    """What a config's experiment shows, though the config is no longer right: its videos may have gone."""
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
        for name, value in parse_override(override).items():
            section, key = name.split(".")
            tree.setdefault(section, {})[key] = value
        sections = {name: tree[name] for name in BaseConfig.model_fields if name in tree}
        base = BaseConfig.model_validate(sections, context={"folder": file.absolute().parent})
    except (OSError, ValueError, AttributeError, TypeError):
        return None
    folder = artifacts_of(base).root / "runs" / base.experiment.name
    return Shown(folder) if (folder / MODEL_FILES[0]).is_file() else None


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
