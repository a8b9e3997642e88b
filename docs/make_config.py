"""Writes docs/config.md, the reference of all config fields, from the classes that define them.

    python docs/make_config.py

Run it when a field is added or changed; `tests/house/test_docs.py` fails until then.
"""

from __future__ import annotations

import json
import re
import textwrap
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from videocap import tasks
from videocap.extract.config import MODELS, NAME, OPENAI_MODELS
from videocap.pipeline.config import BaseConfig, fields, load
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.stages.stage import Stage

PLACE = Path(__file__).with_name("config.md")
WIDTH = 120
HEAD = """# Config

Every section and field of a config file, with its default. This page is written by `docs/make_config.py` from the
classes that hold them: [`pipeline/config.py`](../pipeline/config.py) has `[experiment]` and `[pipeline]`, and puts the
`SECTIONS` of [`extract/config.py`](../extract/config.py) and [`model/config.py`](../model/config.py) beside them. A
test fails when the page is not what that writes.

A config file is TOML; what it leaves out has its default. `--override "train.epochs=3 fusion.block=conv1d"` changes
fields for one run. Unknown sections and fields are refused, and so are values that do not go together: a line for each
names the file, the field and what to do. The config that a run was made with, defaults spelled out, is
`runs/<experiment>/config.toml`. [`configs/`](../configs) has configs to start from;
[`configs/demo.toml`](../configs/demo.toml) is what is taken where no `--config` is given.

Each field has one of three roles:
- **what** decides values. It is in the keys of the stages that read it: change it, and they run again.
- **where** is a place (or the name of a model). In keys stands the digest of what lies there: moving it runs nothing.
  Relative paths start from the folder of the config file; in `--override`, from the current one.
- **how** changes how the work is done, not which values come of it. It is in no key; manifests record it.

"Read by" names the stages whose function is given the field, controls left out. A field that can't matter beside the
others' values is in no key (`fps` under uniform sampling, `mode` of a single scale). [Concepts](concepts.md) tells what
keys and stages are.
"""
MODELS_HEAD = """## Models with a name

`encoder.weights` takes these; `text_encoder.weights` only those that embed text. What a model takes must stand in
`[encoder]`, or an error says which fields to set; of a checkpoint's path that is seen when it is loaded.

| weights | `pixels` | `resize` | `interpolation` | embeds text |
|---|---|---|---|---|"""


PLAIN = {str: "a text", int: "a whole number", float: "a number", bool: "`true` or `false`", Path: "a place"}
# validators say more than types do: what lies there must exist
CHECKED = {
    "_existing": "an existing file or folder",
    "_files": "an existing file, or a list of them",
    "_weights": "a model's name (see below), or an existing file",
    "_models": "a list of texts",
}
LIMITS = {"ge": "{} or more", "gt": "more than {}", "le": "at most {}", "lt": "less than {}"}
PATTERNS = {NAME: "of letters, digits, `.`, `_` and `-`, the first a letter or digit"}


def text(config: type[BaseConfig] = tasks.Config) -> str:
    """The reference of a config class, as Markdown.

    Raises:
        TypeError: naming a section or field without a docstring, or a type that this file has no words for.
    """
    lines = [HEAD]
    for section, info in config.model_fields.items():
        kind, hints = info.annotation, get_type_hints(info.annotation, include_extras=True)
        lines += [f"## [{section}]", *_filled(_about(section, kind)), ""]
        defaults = kind().model_dump(mode="json")
        for name, field in kind.model_fields.items():
            key = f"{section}.{name}"
            if not field.description:
                raise TypeError(f"{key} has no docstring: say under the field what it is")
            default = "none" if defaults[name] is None else f"`{json.dumps(defaults[name])}`"
            facts = [f"- `{name}`: {_words(hints[name], key)}", f"default {default}", f"**{fields(config)[key]}**"]
            lines += _filled("; ".join(facts) + _readers(key) + ".", "  ")
            lines += ["  " + line for line in _filled(field.description, width=WIDTH - 2)]
        lines.append("")
    return "\n".join([*lines, MODELS_HEAD, *_models()]) + "\n"


def _about(section: str, kind: type) -> str:
    """What a section's docstring says behind its name."""
    told = re.fullmatch(rf"\[{section}\](?:: (.*))?", kind.__doc__ or "", re.DOTALL)
    if not told:
        raise TypeError(f"{kind.__name__} has no docstring of the form '[{section}]: what it is about.'")
    return (told[1] or "")[:1].upper() + (told[1] or "")[1:]


def _filled(words: str, indent: str = "", width: int = WIDTH) -> list[str]:
    return textwrap.wrap(words, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _words(hint: Any, key: str) -> str:
    """A field's type, choices and limits in words."""
    kind, parts = get_origin(hint), get_args(hint)
    if kind is Annotated:
        return _limited(*parts, key=key)
    if kind in (Union, UnionType) and type(None) in parts and len(parts) == 2:
        return f"{_words(next(part for part in parts if part is not type(None)), key)}, or left out"
    if kind is Literal:
        *others, last = [f"`{json.dumps(choice)}`" for choice in parts]
        return f"{', '.join(others)} or {last}" if others else f"only {last}"
    if kind is tuple and parts[-1] is Ellipsis:
        return f"a list of any of {', '.join(f'`{json.dumps(one)}`' for one in get_args(parts[0]))}"
    if kind is tuple and len(set(parts)) == 1:
        return f"a list of {len(parts)}, each {_words(parts[0], key)}"
    if hint not in PLAIN:
        raise TypeError(f"{key}: there are no words for the type {hint}")
    return PLAIN[hint]


def _limited(hint: Any, *marks: Any, key: str) -> str:
    """A type with its limits; marks that say nothing to a reader are passed over."""
    checks = [check.__name__ for mark in marks if (check := getattr(mark, "func", None))]
    if known := [CHECKED[check] for check in checks if check in CHECKED]:
        return known[0]
    limits = {}
    for mark in marks:
        for limit in getattr(mark, "metadata", [mark]):
            limits |= {name: getattr(limit, name) for name in (*LIMITS, "pattern") if hasattr(limit, name)}
    words = _words(hint, key)
    if pattern := limits.pop("pattern", None):
        return f"{words} {PATTERNS.get(pattern, f'that matches `{pattern}`')}"
    if limits.keys() == {"ge", "le"}:
        return f"{words} from {limits['ge']} to {limits['le']}"
    return words + ", " * bool(limits) + " and ".join(LIMITS[name].format(limit) for name, limit in limits.items())


def _readers(key: str) -> str:
    """The stages that read a field."""
    section = key.partition(".")[0]
    named = [kind.__name__ for kind in _stages() if {key, section} & set(kind.reads)]
    return f"; read by {', '.join(named)}" if named else ""


@cache
def _stages() -> list[type[Stage]]:
    """All stages, controls left out."""
    demo = load(tasks.Config, tasks.DEFAULT_CONFIG, "score.controls=[]")
    return [*Experiment(demo, tasks.Report).order, tasks.ForeignShard]


def _models() -> list[str]:
    """A row of the table for each model that has a name."""
    rows = []
    for name, (_, takes) in MODELS.items():
        told = [takes.pixels, takes.resize or "as `pixels`", takes.interpolation or "yours"]
        rows.append(f"| `{name}` | {' | '.join(map(str, told))} | {'yes' if name in OPENAI_MODELS else 'no'} |")
    return rows


if __name__ == "__main__":
    PLACE.write_text(text(), encoding="utf-8")
