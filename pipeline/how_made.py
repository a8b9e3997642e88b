"""What an experiment is made of, as a part of a web page: its stages, what differs from the defaults, and whence."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from videocap.pipeline.stages.declared import Declared
from videocap.pipeline.stages.experiment import Experiment

BOX, GAP = (175, 28), (16, 24)  # width and height of a stage in the picture, and of what is between stages


def page(experiment: Experiment, report: Path, trained: Declared) -> str:
    """A report's page with what is one experiment's own: others may have the same results under another name.

    Args:
        report: the page, which has marks for it.
        trained: the stage of whose result the versions are told.
    """
    text, manifest = report.read_text(encoding="utf-8"), trained.product.manifest()
    versions = manifest["provenance"].get("versions", {}) if manifest else {}
    own = {"name": escape(experiment.config.experiment.name), "made": section(experiment, versions)}
    for mark, part in own.items():
        text = text.replace(f"<!-- {mark} -->", part, 1)
    return text


def section(experiment: Experiment, versions: Mapping[str, str]) -> str:
    """HTML: the graph of stages, the fields that are not as by default, each stage's result, and versions.

    It says what is published and in the config, nothing of the moment: the same results give the same text.

    Args:
        experiment: whose stages are all done.
        versions: of what made its results.
    """
    differs = different(experiment)
    fields = _table(("field", "value", "by default"), differs) if differs else "<p>Nothing but its name.</p>"
    made = _table(("stage", "result", "made", "from outside"), map(_made, experiment.nodes()))
    used = ", ".join(f"{escape(name)} {escape(version)}" for name, version in versions.items())
    return (
        f'<h2>How it was made</h2>\n<div class="wide">{graph(experiment)}</div>\n'
        f"<h3>What differs from the default config</h3>\n{fields}\n"
        f"<details><summary>Results behind this page</summary>\n{made}\n<p>Versions: {used}.</p></details>\n"
    )


def different(experiment: Experiment) -> list[tuple[str, str, str]]:
    """The fields of the config that are not as by default, but for the experiment's name: (field, value, default)."""
    rows = []
    for name, info in type(experiment.config).model_fields.items():
        given, default = getattr(experiment.config, name).model_dump(mode="json"), info.default.model_dump(mode="json")
        rows += [
            (f"{name}.{key}", _text(given[key]), _text(default[key])) for key in given if given[key] != default[key]
        ]
    return [row for row in rows if row[0] != "experiment.name"]


def _text(value: Any) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _made(stage: Declared) -> tuple[str, str, str, str]:
    """A row of what a stage has published. A store's manifests are many, so it is only named."""
    recipe = stage.recipe.settled() or {}
    outside = recipe.get("outside", {})
    files = [f"{name} {digest[:12]}" for name, digest in outside.items()]
    told = ", ".join(files) if len(files) < 4 else f"{len(files)} files"
    manifest = stage.product.manifest()
    when = host = ""
    if manifest:
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(manifest["created"]))
        host = f" on {manifest['provenance'].get('host', 'an unknown host')}"
    return stage.name, (stage.product.place or "")[:60], when + host, told


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    lines = ["".join(f"<td>{escape(value)}</td>" for value in row) for row in rows]
    return f'<table class="words"><tr>{head}</tr>\n' + "\n".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def graph(experiment: Experiment) -> str:
    """An SVG of the stages, each below all that goes into it; what reaches a stage through another has no line."""
    upstream = {kind: set(kind.of(experiment).upstream()) for kind in experiment.order}
    depth: dict[type[Declared], int] = {}
    above: dict[type[Declared], set[type[Declared]]] = {}
    for kind in experiment.order:
        depth[kind] = 1 + max((depth[other] for other in upstream[kind]), default=-1)
        above[kind] = upstream[kind].union(*(above[other] for other in upstream[kind]))
    rows: dict[int, list[type[Declared]]] = {}
    for kind, number in depth.items():
        rows.setdefault(number, []).append(kind)
    (width, height), (across, down) = BOX, GAP
    wide = max(map(len, rows.values()))
    place = {
        kind: ((column + (wide - len(kinds)) / 2) * (width + across), number * (height + down))
        for number, kinds in rows.items()
        for column, kind in enumerate(kinds)
    }
    lines, boxes = [], []
    for kind, (x, y) in place.items():
        middle = x + width / 2
        for other in upstream[kind] - set().union(*(above[one] for one in upstream[kind])):
            start, end = place[other][0] + width / 2, place[other][1] + height
            half = (end + y) / 2
            lines.append(f'<path d="M{start:g},{end} C{start:g},{half:g} {middle:g},{half:g} {middle:g},{y}"/>')
        boxes.append(f'<rect x="{x:g}" y="{y}" width="{width}" height="{height}" rx="5"/>')
        boxes.append(f'<text x="{middle:g}" y="{y + height / 2 + 4:g}">{escape(kind.__name__)}</text>')
    size = wide * (width + across) - across + 4, len(rows) * (height + down) - down + 4
    return (
        f'<svg class="graph" role="img" aria-label="graph of stages" viewBox="-2 -2 {size[0]} {size[1]}" '
        f'width="{size[0]}" height="{size[1]}">{"".join(sorted(lines))}{"".join(boxes)}</svg>'
    )
