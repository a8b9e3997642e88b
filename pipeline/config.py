"""Loads an experiment's config: TOML file, overrides, defaults. Mistakes come back as one clear line each."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    model_validator,
)

ROLES = ("what", "where", "how")


class ConfigError(ValueError):
    """The config is wrong: the message names file, key and what to do."""


def _from_file(value: str | None, info: ValidationInfo) -> Path | None:
    """Relative paths start from the folder of the config file."""
    return value if value is None else (info.context or {}).get("folder", Path()) / Path(value).expanduser()


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class ExperimentConfig(_Section):
    """[experiment]: what its results are called."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"), "how"] = "demo"
    """Results go to `runs/<name>` in the artifacts folder."""
    license: Annotated[str, Field(pattern=r"^[A-Za-z0-9.+-]{0,60}$"), "what"] = ""
    """Under which the trained model is given away, as model hubs call it: "cc-by-4.0". Empty: nobody has said."""


class PipelineConfig(_Section):
    """[pipeline]: the machine itself."""

    artifacts: Annotated[Path | None, BeforeValidator(_from_file), "where"] = None
    """Folder of all results; the environment's VIDEOCAP_ARTIFACTS goes before it, `./artifacts` behind."""
    code: Annotated[Literal["auto", "strict", "version"], "how"] = "auto"
    """What of the code is in keys: its hash (`strict`), a hand-raised version (`version`), or each stage's own way."""
    shard_size: Annotated[int, Field(ge=1, le=4_000), "how"] = 128
    """Items a shard; 32 times as many of captions."""


class BaseConfig(BaseModel):
    """What every experiment's config has; `compose` adds the sections of the stages."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    experiment: ExperimentConfig = ExperimentConfig()
    pipeline: PipelineConfig = PipelineConfig()


def compose(*modules: ModuleType) -> type[BaseConfig]:
    """The class of configs that have the sections of these modules, and pass their checks.

    Args:
        modules: each with SECTIONS, {name: class of the section}, and CHECKS, functions that take the whole config and
            raise ValueError for values that do not go together.
    """
    sections = {name: (section, section()) for module in modules for name, section in module.SECTIONS.items()}

    def check(config: BaseConfig) -> BaseConfig:
        for one in (one for module in modules for one in module.CHECKS):
            one(config)
        return config

    checks = {"check": model_validator(mode="after")(check)}
    return create_model("Config", __base__=BaseConfig, __validators__=checks, **sections)


@cache
def fields(config: type[BaseConfig]) -> dict[str, str]:
    """All fields of a config class with their roles: {"train.lr": "what", …}.

    Raises TypeError for a field that is not marked what, where or how.
    """
    roles = {}
    for section, info in config.model_fields.items():
        for name, field in info.annotation.model_fields.items():
            marks = [mark for mark in (*field.metadata, *get_args(field.annotation)) if mark in ROLES]
            if len(marks) != 1:
                raise TypeError(f"{section}.{name} must be marked as one of {', '.join(ROLES)}")
            roles[f"{section}.{name}"] = marks[0]
    return roles


def load(config: type[BaseConfig], file: Path, override: str = "") -> BaseConfig:
    """Read a config file and apply overrides such as `train.epochs=3 fusion.block=conv1d`.

    Relative paths in the file start from the file's folder, those in overrides from the current one.
    Raises ConfigError that lists every mistake with its key and, for an unknown key, the nearest valid one.
    """
    try:
        tree = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{file}: there is no such config file") from None
    except OSError as error:
        raise ConfigError(f"{file}: can't be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from None
    roles = fields(config)
    overridden = parse_override(override)
    for key, value in overridden.items():
        section, name = key.split(".")
        if roles.get(key) == "where":
            value = _from_here(config, section, name, value, Path(file).absolute().parent)
        if not isinstance(tree.setdefault(section, {}), dict):
            raise ConfigError(f"{file}: {section}: must be a section, [{section}]")
        tree[section][name] = value
    try:
        return config.model_validate(tree, context={"folder": Path(file).absolute().parent})
    except ValidationError as error:
        lines = [_explain(mistake, file, roles, overridden) for mistake in error.errors()]
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None


def changed(config: BaseConfig, changes: Mapping[str, Any]) -> BaseConfig:
    """The config with other values for some fields, such as {"train.epochs": 3}; they are taken as they are."""
    for key, value in changes.items():
        section, field = key.split(".")
        part = getattr(config, section).model_copy(update={field: value})
        config = config.model_copy(update={section: part})
    return config


def _from_here(config: type[BaseConfig], section: str, name: str, value: Any, folder: Path) -> Any:
    """A place in an override, or a list of them, from the current folder."""
    if isinstance(value, list):
        return [_from_here(config, section, name, one, folder) for one in value]
    place = isinstance(value, str) and _is_path(config, section, name, value, folder)
    return str(Path(value).expanduser().absolute()) if place else value


def _is_path(config: type[BaseConfig], section: str, name: str, value: str, folder: Path) -> bool:
    """Whether a value names a place; a field may also take names (`ViT-B/16`), and then a place is a file there is.

    Of a file that is neither here nor in the config's folder, the error is to name the place here: names have no dot.
    """
    only_paths = "Path" in str(config.model_fields[section].annotation.model_fields[name].annotation)
    file = Path(value).expanduser()
    nowhere = "." in value and not (folder / file).is_file()
    return only_paths or (("." in value or "/" in value) and file.is_file()) or nowhere


def parse_override(text: str) -> dict[str, Any]:
    """Values are TOML where they parse as TOML, else plain text, so that `fusion.block=conv1d` needs no quotes."""
    values = {}
    for part in re.split(r"\s+(?=[A-Za-z_]+\.[A-Za-z_0-9]+=)", text.strip()) if text.strip() else []:
        key, equals, value = part.partition("=")
        if not equals or not re.fullmatch(r"\w+\.\w+", key):
            raise ConfigError(f"--override: {part!r} is not of the form section.field=value")
        try:
            values[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            values[key] = value
    return values


def _explain(mistake: dict, file: Path, roles: dict[str, str], overridden: dict[str, Any]) -> str:
    place = [str(part) for part in mistake["loc"]]
    key = ".".join(place[:2])
    blamed = key in overridden if len(place) > 1 else any(name.split(".")[0] == key for name in overridden)
    source = "--override" if blamed else str(file)
    if mistake["type"] == "extra_forbidden":
        known = roles if len(place) > 1 else {name.split(".")[0]: "" for name in roles}
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(sorted(known))}"
        return f"{source}: {key}: unknown {'key' if len(place) > 1 else 'section'}; {hint}"
    message = mistake["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if not key:
        return f"{source}: {message}"
    shown = f" (it is {mistake['input']!r})" if len(place) > 1 else ""
    return f"{source}: {key}: {message}{shown}"


def dump(config: BaseConfig) -> str:
    """The whole config as TOML text, defaults spelled out."""
    lines = []
    for section, values in config.model_dump(mode="json").items():
        lines += [f"[{section}]", *(f"{k} = {_toml(v)}" for k, v in values.items() if v is not None), ""]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        # a JSON string is a TOML string, but for one character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)
